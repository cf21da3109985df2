"""PEARL on half-cheetahs that are to run at an unknown velocity.

Context, batches and learning rates are those of the authors' code, and so are the two
episodes from the prior that the encoder learns from. Four more come from posteriors,
which only the critics learn from; there it is two, a test has three episodes, and each
task starts with 2,000 steps of data. The weight of the KL, 0.1 for a sum over 16 tasks,
would be 1.6 here, where it is 0.1 for their mean. An iteration has fewer updates.
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
