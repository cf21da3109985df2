"""What the memory and a discount bring on random MDPs in a hundred episodes.

The settings are those of the published table (`reproduce_learners.py`), with its
discount and with none.
"""

import dataclasses

from experiments import reproduce_learners
from experiments.comparison import Comparison, Row
from experiments.reproduce_cells import CELLS

_CELL = CELLS["mdp-N100"]
_TABLE = reproduce_learners.experiment(_CELL, "rl2_gru", "small")
_GRU = _TABLE.algorithm
_FAST = reproduce_learners.experiment(_CELL, "rl2_fast_weights", "small").algorithm

COMPARISON = Comparison(
    base=dataclasses.replace(
        _TABLE,
        description="MDPs of 10 states and 5 actions, 100 episodes of ten steps",
        evaluation=dataclasses.replace(_TABLE.evaluation, num_tasks=1000),
    ),
    rows={
        "rl2": Row(dataclasses.replace(_GRU, discount=1.0)),
        "rl2_discount": Row(_GRU),
        "rl2_fast_weights": Row(dataclasses.replace(_FAST, discount=1.0)),
        "rl2_fast_weights_discount": Row(_FAST),
    },
    budget=6_400_000,
)
