"""What it brings to be credited with regret, on random MDPs in a hundred episodes.

The settings are those of the published table (`reproduce_learners.py`), less one or two
of what goes with regret: credit, normalisation over tasks, and no bootstrapping.
"""

import dataclasses
from typing import Any

from experiments import reproduce_learners
from experiments.comparison import Comparison, Row
from experiments.reproduce_cells import CELLS

_TABLE = reproduce_learners.experiment(CELLS["mdp-N100"], "rl2_tabular", "small")


def _but_for(outer: dict[str, Any], **changes: Any) -> Row:
    """The row of the table with changes to its algorithm, and to its outer loop."""
    algorithm = dataclasses.replace(_TABLE.algorithm, **changes)
    changed = dataclasses.replace(algorithm.outer, **outer)
    return Row(dataclasses.replace(algorithm, outer=changed))


_TOGETHER = {"normalized_over": "trials"}

COMPARISON = Comparison(
    base=dataclasses.replace(
        _TABLE,
        description="MDPs of 10 states and 5 actions, 100 episodes of ten steps",
        evaluation=dataclasses.replace(_TABLE.evaluation, num_tasks=1000),
    ),
    rows={
        "regret": _but_for({}),
        "regret_together": _but_for(_TOGETHER),
        "regret_traces": _but_for({}, trace_decay=0.4),
        "reward": _but_for({}, credit="reward"),
        "reward_traces": _but_for({}, credit="reward", trace_decay=0.4),
    },
    budget=3_072_000,
)
