"""MAML on pendulums of unknown size, and unknown sense of the motor."""

from experiments.experiment import Experiment
from metarl_jax.algorithms import MamlConfig
from metarl_jax.evaluation import EvaluationConfig
from metarl_jax.losses import AdvantageConfig
from metarl_jax.networks import NetworkConfig
from metarl_jax.optimizers import AdamConfig
from metarl_jax.training import TrainingConfig

_ADVANTAGE = AdvantageConfig(discount=0.97, trace_decay=0.95)

EXPERIMENT = Experiment(
    description="MAML on pendulums whose mass, length, gravity and torque vary",
    environment="pendulum",
    environment_options={"horizon": 200, "signed_torque": True},
    algorithm=MamlConfig(
        num_episodes=20,
        inner_step_sizes=(0.2, 0.1),
        inner_advantage=_ADVANTAGE,
        outer_advantage=_ADVANTAGE,
        outer=AdamConfig(learning_rate=2e-3),
        network=NetworkConfig(hidden_sizes=(64, 64)),
    ),
    training=TrainingConfig(num_iterations=300, num_tasks=20),
    evaluation=EvaluationConfig(num_adaptation_steps=3, num_episodes=20),
    oracle_iterations=300,
)
