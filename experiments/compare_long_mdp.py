"""What the memory and a discount bring on random MDPs in a hundred episodes.

The settings are those of the published table (`reproduce_learners.py`), with its
discount and with none. Nothing else differs, but values are in units of the discounted
return of a trial, which is ten times as much without a discount.
"""

import dataclasses

from experiments import reproduce_learners
from experiments.comparison import Comparison, Row
from experiments.reproduce_cells import CELLS

_CELL = CELLS["mdp-N100"]
_TABLE = reproduce_learners.experiment(_CELL, "rl2_gru", "small")
_FAST = reproduce_learners.experiment(_CELL, "rl2_fast_weights", "small")

COMPARISON = Comparison(
    base=reproduce_learners.described(
        _TABLE,
        "MDPs of 10 states and 5 actions, 100 episodes of ten steps",
        num_tasks=1000,
    ),
    rows={
        "gru": Row(dataclasses.replace(_TABLE.algorithm, discount=1.0)),
        "gru_discount": Row(_TABLE.algorithm),
        "fast_weights": Row(dataclasses.replace(_FAST.algorithm, discount=1.0)),
        "fast_weights_discount": Row(_FAST.algorithm),
    },
    budget=6_400_000,
)
