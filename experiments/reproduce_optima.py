"""The best return that is possible in a cell, where it can be computed."""

from collections.abc import Callable
from typing import Any

from experiments.reproduce_cells import Cell
from metarl_jax.classical.bandit_values import bayes_optimal_value

_MOST_PULLS = 10  # of a bandit; beyond, there are too many beliefs


def has_optimum(cell: Cell) -> bool:
    """True where `optimum` can be computed."""
    if cell.table == "bandits":
        return cell.num_steps <= _MOST_PULLS
    return cell.table in _OPTIMA


def optimum(cell: Cell) -> dict[str, Any]:
    """The best possible mean total reward: `mean`, and what it is the best of."""
    return _OPTIMA[cell.table](cell)


def _bandits(cell: Cell) -> dict[str, Any]:
    num_arms = cell.environment_options["num_arms"]
    return {
        "mean": bayes_optimal_value(num_arms, cell.num_steps),
        "what": "Bayes-optimal",
    }


_OPTIMA: dict[str, Callable[[Cell], dict[str, Any]]] = {"bandits": _bandits}
