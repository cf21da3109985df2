"""MAML on Bernoulli bandits: a gradient step that finds the best arm."""

from experiments.experiment import Experiment
from metarl_jax.algorithms import MamlConfig
from metarl_jax.evaluation import EvaluationConfig
from metarl_jax.losses import AdvantageConfig
from metarl_jax.networks import NetworkConfig
from metarl_jax.optimizers import AdamConfig
from metarl_jax.training import TrainingConfig

# a pull changes nothing that follows, so that its own reward is all of its return
_MYOPIC = AdvantageConfig(discount=0.0)

EXPERIMENT = Experiment(
    description="MAML on bandits of 5 arms, 10 pulls an episode",
    environment="bernoulli_bandit",
    environment_options={"num_arms": 5, "horizon": 10},
    algorithm=MamlConfig(
        num_episodes=20,
        inner_step_sizes=(2.0, 1.0),
        inner_advantage=_MYOPIC,
        outer_advantage=_MYOPIC,
        outer=AdamConfig(learning_rate=1e-2),
        network=NetworkConfig(hidden_sizes=(64, 64)),
    ),
    training=TrainingConfig(num_iterations=200, num_tasks=40),
    evaluation=EvaluationConfig(num_tasks=100, num_adaptation_steps=3, num_episodes=20),
)
