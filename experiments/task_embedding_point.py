"""A table of task embeddings on point navigation, and their adaptation to new goals.

Nothing is meta-trained: one policy learns 100 goals, and an embedding of five numbers
for each. In a new task the embedding alone takes gradient steps, from the mean of the
table. Half as many environment steps as in Finn et al. (2017), 8 M.

Step sizes were chosen by hand on one seed: the embeddings of the training goals spread
by 0.16 along each number, and steps of 0.1 leave the space where they are.
"""

from experiments import published
from experiments.experiment import Experiment
from metarl_jax.algorithms import TaskEmbeddingConfig
from metarl_jax.conditioning import Film
from metarl_jax.embedding_sources import LearnedTable
from metarl_jax.evaluation import EvaluationConfig
from metarl_jax.networks import NetworkConfig
from metarl_jax.training import TrainingConfig
from metarl_jax.trial_optimizers import TrialProximalConfig

EXPERIMENT = Experiment(
    description="A learned embedding for each of 100 goals, adapted to new ones",
    environment="point",
    environment_options={"horizon": 100},
    algorithm=TaskEmbeddingConfig(
        num_adaptation_steps=3,
        num_episodes=20,
        inner_step_sizes=(0.05, 0.03, 0.02),
        embedding=LearnedTable(size=5),
        conditioning=Film(),
        network=NetworkConfig(hidden_sizes=(32, 32), initial_std=0.5),
        outer=TrialProximalConfig(learning_rate=3e-3, decay_iterations=200),
    ),
    training=TrainingConfig(
        num_iterations=200, num_tasks=20, iterations_per_checkpoint=50
    ),
    evaluation=EvaluationConfig(
        task_set="finn2017", num_adaptation_steps=3, num_episodes=40
    ),
    num_training_tasks=100,
    published=published.finn2017("point"),
)
