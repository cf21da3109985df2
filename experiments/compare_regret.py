"""What it brings to be credited with regret, on random MDPs in a hundred episodes.

The settings are those of the published table (`reproduce_learners.py`), less one or two
of what goes with regret, and those that were the best with rewards.
"""

import dataclasses
from typing import Any

from experiments import reproduce_learners
from experiments.comparison import Comparison, Row
from experiments.reproduce_cells import CELLS

_TABLE = reproduce_learners.experiment(CELLS["mdp-N100"], "rl2_tabular", "small")


def _with(outer: dict[str, Any], **changes: Any) -> Row:
    """The row of the table with changes to its algorithm, and to its outer loop."""
    algorithm = dataclasses.replace(_TABLE.algorithm, **changes)
    changed = dataclasses.replace(algorithm.outer, **outer)
    return Row(dataclasses.replace(algorithm, outer=changed))


_TRIALS = {"normalized_over": "trials"}
_REWARD = {"credit": "reward", "trace_decay": 0.4}

COMPARISON = Comparison(
    base=reproduce_learners.described(
        _TABLE,
        "MDPs of 10 states and 5 actions, 100 episodes of ten steps",
        num_tasks=1000,
    ),
    rows={
        "regret": Row(_TABLE.algorithm),
        "regret_over_trials": _with(_TRIALS),
        "regret_short_traces": _with({}, trace_decay=0.4),
        "reward": _with({}, credit="reward"),
        "reward_short_traces": _with({}, **_REWARD),
        "reward_tuned": _with(
            _TRIALS | {"learning_rate": 4e-3}, discount=0.998, **_REWARD
        ),
    },
    budget=3_072_000,
)
