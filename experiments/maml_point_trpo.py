"""MAML on point navigation, in the configuration of Finn et al. (2017)."""

from experiments import published
from experiments.experiment import Experiment
from metarl_jax.algorithms import MamlConfig
from metarl_jax.evaluation import EvaluationConfig
from metarl_jax.networks import NetworkConfig
from metarl_jax.optimizers import TrustRegionConfig
from metarl_jax.training import TrainingConfig

EXPERIMENT = Experiment(
    description="MAML on point navigation, TRPO outside: the paper's configuration",
    environment="point",
    environment_options={"horizon": 100},
    algorithm=MamlConfig(
        num_adaptation_steps=1,
        num_episodes=20,
        inner_step_sizes=(0.5, 0.25),
        outer=TrustRegionConfig(max_kl=0.01),
        network=NetworkConfig(hidden_sizes=(100, 100), activation="relu"),
    ),
    training=TrainingConfig(num_iterations=100, num_tasks=40),
    evaluation=EvaluationConfig(
        task_set="finn2017", num_adaptation_steps=3, num_episodes=40
    ),
    published=published.finn2017("point"),
)
