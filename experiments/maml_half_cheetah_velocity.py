"""MAML on half-cheetahs that are to run at an unknown velocity."""

from experiments.experiment import Experiment
from metarl_jax.algorithms import MamlConfig
from metarl_jax.evaluation import EvaluationConfig
from metarl_jax.losses import AdvantageConfig
from metarl_jax.networks import NetworkConfig
from metarl_jax.optimizers import AdamConfig
from metarl_jax.training import TrainingConfig

_ADVANTAGE = AdvantageConfig(trace_decay=0.95)

EXPERIMENT = Experiment(
    description="MAML on half-cheetahs with a target velocity from U[0, 2]",
    environment="half_cheetah_velocity",
    environment_options={"horizon": 200, "backend": "spring"},
    algorithm=MamlConfig(
        num_episodes=10,
        inner_step_sizes=(0.1,),
        inner_advantage=_ADVANTAGE,
        outer_advantage=_ADVANTAGE,
        outer=AdamConfig(learning_rate=3e-3),
        network=NetworkConfig(hidden_sizes=(64, 64), initial_std=0.7),
    ),
    training=TrainingConfig(
        num_iterations=200,
        num_tasks=8,
        iterations_per_chunk=1,
        iterations_per_checkpoint=10,
    ),
    evaluation=EvaluationConfig(num_tasks=20, num_adaptation_steps=3, num_episodes=10),
    oracle_iterations=200,
)
