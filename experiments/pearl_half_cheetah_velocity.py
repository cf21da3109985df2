"""PEARL on half-cheetahs that are to run at an unknown velocity.

Trials, context, batches and rates are those of the authors' code, with fewer updates
for an iteration: two episodes from the prior, which the encoder learns from, and four
from posteriors, which only the critics do.
"""

from experiments.experiment import Experiment
from metarl_jax.algorithms import PearlConfig
from metarl_jax.evaluation import EvaluationConfig
from metarl_jax.training import TrainingConfig

EXPERIMENT = Experiment(
    description="PEARL on half-cheetahs with a target velocity from U[0, 2]",
    environment="half_cheetah_velocity",
    environment_options={"horizon": 200, "backend": "spring"},
    algorithm=PearlConfig(
        num_adaptation_steps=2,
        num_episodes=2,
        context_size=100,
        num_updates=500,
        replay_capacity=20_000,
    ),
    training=TrainingConfig(
        num_iterations=200,
        num_tasks=5,
        iterations_per_chunk=1,
        iterations_per_checkpoint=10,
    ),
    evaluation=EvaluationConfig(num_tasks=20, num_adaptation_steps=2, num_episodes=2),
    num_training_tasks=100,
)
