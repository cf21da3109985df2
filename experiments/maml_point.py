"""MAML on point navigation, at the budget of Finn et al. (2017)."""

from experiments import published
from experiments.experiment import Experiment
from metarl_jax.algorithms import MamlConfig
from metarl_jax.evaluation import EvaluationConfig
from metarl_jax.networks import NetworkConfig
from metarl_jax.optimizers import AdamConfig
from metarl_jax.training import TrainingConfig

EXPERIMENT = Experiment(
    description="MAML on point navigation, Adam outside: 16 M steps, as in the paper",
    environment="point",
    environment_options={"horizon": 100},
    algorithm=MamlConfig(
        num_adaptation_steps=1,
        num_episodes=20,
        inner_step_sizes=(0.5, 0.25),
        outer=AdamConfig(learning_rate=3e-3),
        network=NetworkConfig(hidden_sizes=(100, 100), activation="relu"),
    ),
    training=TrainingConfig(num_iterations=100, num_tasks=40),
    evaluation=EvaluationConfig(
        task_set="finn2017", num_adaptation_steps=3, num_episodes=40
    ),
    oracle_iterations=100,
    published=published.finn2017("point"),
)
