"""What a memory for each arm brings on bandits of 50 arms, in a hundred pulls.

The settings are those of the published table (`reproduce_learners.py`).
"""

from experiments import reproduce_learners
from experiments.comparison import Comparison, Row
from experiments.reproduce_cells import CELLS

_CELL = CELLS["bandit-n100-k50"]
_GRU = reproduce_learners.experiment(_CELL, "rl2_gru", "small")
_TABULAR = reproduce_learners.experiment(_CELL, "rl2_tabular", "small")

COMPARISON = Comparison(
    base=reproduce_learners.described(
        _GRU,
        "bandits of 50 arms, 100 pulls",
        num_tasks=2000,
    ),
    rows={"gru": Row(_GRU.algorithm), "tabular": Row(_TABULAR.algorithm)},
    budget=2_560_000,
)
