"""MAML on cart-poles of unknown size, and unknown sign of the force."""

from experiments.experiment import Experiment
from metarl_jax.algorithms import MamlConfig
from metarl_jax.evaluation import EvaluationConfig
from metarl_jax.networks import NetworkConfig
from metarl_jax.optimizers import AdamConfig
from metarl_jax.training import TrainingConfig

EXPERIMENT = Experiment(
    description="MAML on cart-poles whose masses, length, gravity and force vary",
    environment="cartpole",
    environment_options={"horizon": 200, "signed_force": True},
    algorithm=MamlConfig(
        num_episodes=20,
        inner_step_sizes=(0.5, 0.25),
        outer=AdamConfig(learning_rate=2e-3),
        network=NetworkConfig(hidden_sizes=(64, 64)),
    ),
    training=TrainingConfig(num_iterations=200, num_tasks=20),
    evaluation=EvaluationConfig(num_adaptation_steps=3, num_episodes=20),
    oracle_iterations=200,
)
