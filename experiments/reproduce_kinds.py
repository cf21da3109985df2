"""What sets the published tables apart: which agents learn, and how they are scored."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from experiments import reproduce_learners, reproduce_locomotion
from experiments.experiment import Experiment
from experiments.reproduce_cells import LOCOMOTION, TABLES, Cell
from experiments.reproduce_scores import check_num_trials, learned_score
from metarl_jax.checks import require
from metarl_jax.types import Params


class Kind(NamedTuple):
    """The learned agents of a table."""

    # (cell, budget, iterations or None for those of the budget) -> by name
    agents: Callable[[Cell, str, int | None], dict[str, Experiment]]
    # (experiment, params [S, ...], trials, folder of the run) -> fields of row.json
    score: Callable[[Experiment, Params, int, Path], dict[str, Any]]
    num_trials: int  # by default
    check_num_trials: Callable[[int], None]  # raises ValueError


def _score_total(
    trained: Experiment, params: Params, num_trials: int, run: Path
) -> dict[str, Any]:
    return learned_score(trained, params, num_trials)


def _score_adaptation(
    trained: Experiment, params: Params, num_trials: int, run: Path
) -> dict[str, Any]:
    score = reproduce_locomotion.adaptation_score(trained, params, num_trials)
    return score | {"learning_curve": reproduce_locomotion.learning_curve(run)}


def _check_num_tasks(num_tasks: int) -> None:
    require(num_tasks > 0, f"--trials must be above 0, not {num_tasks}")


_TOTALS = Kind(reproduce_learners.agents, _score_total, 10_000, check_num_trials)
_ROBOTS = Kind(reproduce_locomotion.agents, _score_adaptation, 40, _check_num_tasks)
# table -> its kind
KINDS = dict.fromkeys(TABLES, _TOTALS) | {LOCOMOTION: _ROBOTS}
