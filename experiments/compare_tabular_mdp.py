"""What RL^2 needs in order to look up what it knows, on random MDPs in ten episodes.

The settings are those of the published table (`reproduce_learners.py`), with and
without products of inputs before the memory, and with and without heads that the memory
conditions.
"""

import dataclasses

from experiments import reproduce_learners
from experiments.comparison import Comparison, Row
from experiments.experiment import Experiment
from experiments.reproduce_cells import CELLS
from metarl_jax.evaluation import EvaluationConfig
from metarl_jax.memory_policies import MemoryAlone
from metarl_jax.training import TrainingConfig

_CELL = CELLS["mdp-N10"]
_NUM_TASKS = 256
_BOTH = reproduce_learners.rl2_gru(
    _CELL,
    # rates fall over the whole run
    reproduce_learners.Budget(_NUM_TASKS * _CELL.num_steps, 1, 1),
).algorithm
_PRODUCTS = dataclasses.replace(_BOTH, conditioning=MemoryAlone())
_HYPERNETWORK = dataclasses.replace(_BOTH, embedding_activation="relu")
_NEITHER = dataclasses.replace(_PRODUCTS, embedding_activation="relu")

COMPARISON = Comparison(
    base=Experiment(
        description="MDPs of 10 states and 5 actions, ten episodes of ten steps",
        environment=_CELL.environment,
        environment_options=_CELL.environment_options,
        algorithm=_BOTH,
        training=TrainingConfig(num_tasks=_NUM_TASKS, iterations_per_checkpoint=50),
        evaluation=EvaluationConfig(
            num_tasks=1000,
            num_adaptation_steps=_BOTH.num_adaptation_steps,
            num_episodes=_BOTH.num_episodes,
        ),
    ),
    rows={
        "rl2": Row(_NEITHER),
        "rl2_products": Row(_PRODUCTS),
        "rl2_hypernetwork": Row(_HYPERNETWORK),
        "rl2_both": Row(_BOTH),
    },
    budget=5_120_000,
)
