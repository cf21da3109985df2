"""What a memory for each arm and regret bring on bandits of 50 arms, in 100 pulls.

The settings are those of the published table (`reproduce_learners.py`), in which the
GRU is credited with rewards and memories of arms with regret, and each with what the
other is credited with.
"""

import dataclasses

from experiments import reproduce_learners
from experiments.comparison import Comparison, Row
from experiments.reproduce_cells import CELLS
from metarl_jax.algorithms import Rl2Config

_CELL = CELLS["bandit-n100-k50"]
_GRU = reproduce_learners.experiment(_CELL, "rl2_gru", "small")
_TABULAR = reproduce_learners.experiment(_CELL, "rl2_tabular", "small")


def _credited_as(like: Rl2Config, algorithm: Rl2Config) -> Row:
    """An algorithm with the credit of another, `like`, and all that goes with it."""
    over = like.outer.normalized_over
    return Row(
        dataclasses.replace(
            algorithm,
            credit=like.credit,
            discount=like.discount,
            trace_decay=like.trace_decay,
            outer=dataclasses.replace(algorithm.outer, normalized_over=over),
        )
    )


COMPARISON = Comparison(
    base=dataclasses.replace(
        _GRU,
        description="bandits of 50 arms, 100 pulls",
        evaluation=dataclasses.replace(_GRU.evaluation, num_tasks=2000),
    ),
    rows={
        "gru": Row(_GRU.algorithm),
        "gru_regret": _credited_as(_TABULAR.algorithm, _GRU.algorithm),
        "tabular_reward": _credited_as(_GRU.algorithm, _TABULAR.algorithm),
        "tabular": Row(_TABULAR.algorithm),
    },
    budget=2_560_000,
)
