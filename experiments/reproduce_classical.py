"""The classical agents of the published tables, made for a cell."""

from collections.abc import Callable
from typing import Any, NamedTuple

from experiments.reproduce_cells import Cell
from metarl_jax.classical.agent import Agent


class ClassicalAgent(NamedTuple):
    """An agent made for a cell, and the settings among which to choose."""

    make: Callable[[Any], Agent]  # setting -> agent
    settings: tuple[float, ...]


def classical_agents(cell: Cell) -> dict[str, ClassicalAgent]:
    """The classical agents that act in a cell, by name."""
    return _CLASSICAL.get(cell.table, lambda cell: {})(cell)


# table -> the agents of a cell of it
_CLASSICAL: dict[str, Callable[[Cell], dict[str, ClassicalAgent]]] = {}
