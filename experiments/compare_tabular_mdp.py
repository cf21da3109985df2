"""What RL^2 needs in order to look up what it knows, on random MDPs in ten episodes.

The settings are those of the published table (`reproduce_learners.py`). A GRU is run
with and without products of inputs before it, and with and without heads that the
memory conditions; fast weights with neither and with both.
"""

import dataclasses

from experiments import reproduce_learners
from experiments.comparison import Comparison, Row
from experiments.reproduce_cells import CELLS
from metarl_jax.memory_policies import MemoryAlone

_CELL = CELLS["mdp-N10"]
_TABLE = reproduce_learners.experiment(_CELL, "rl2_gru", "small")
_FAST = reproduce_learners.experiment(_CELL, "rl2_fast_weights", "small")
_BOTH = _TABLE.algorithm
_PRODUCTS = dataclasses.replace(_BOTH, conditioning=MemoryAlone())
_HYPERNETWORK = dataclasses.replace(_BOTH, embedding_activation="relu")
_NEITHER = dataclasses.replace(_PRODUCTS, embedding_activation="relu")
_FAST_ALONE = dataclasses.replace(_NEITHER, memory=_FAST.algorithm.memory)

COMPARISON = Comparison(
    base=reproduce_learners.described(
        _TABLE,
        "MDPs of 10 states and 5 actions, ten episodes of ten steps",
        num_tasks=1000,
    ),
    rows={
        "rl2": Row(_NEITHER),
        "rl2_products": Row(_PRODUCTS),
        "rl2_hypernetwork": Row(_HYPERNETWORK),
        "rl2_both": Row(_BOTH),
        "fast_weights": Row(_FAST_ALONE),
        "fast_weights_both": Row(_FAST.algorithm),
    },
    budget=5_120_000,
)
