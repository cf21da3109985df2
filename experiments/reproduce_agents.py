"""What is scored in a cell: classical agents, the optimum, and learned agents."""

import dataclasses
from typing import Any

from experiments.reproduce_cells import Cell
from experiments.reproduce_classical import classical_agents
from experiments.reproduce_kinds import KINDS
from experiments.reproduce_optima import has_optimum
from experiments.reproduce_tables import OPTIMUM


@dataclasses.dataclass(frozen=True)
class ClassicalPlan:
    """A classical agent is to be scored in a cell."""

    cell: Cell
    agent: str
    settings: tuple[float, ...]  # among which one is chosen


@dataclasses.dataclass(frozen=True)
class OptimumPlan:
    """The exact return of the best that is possible is to be computed."""

    cell: Cell


def plan_of(
    cell: Cell, budget: str, num_iterations: int | None = None
) -> dict[str, Any]:
    """What is to be done for each agent of a cell, by name.

    Args:
      cell: what a trial is.
      budget: how long agents are trained.
      num_iterations: of training, in place of those of the budget.

    Returns:
      An `OptimumPlan` where it can be computed, a `ClassicalPlan` or an `Experiment`.

    Raises:
      ValueError: if there is no such budget.
    """
    classical: dict[str, Any] = {
        name: ClassicalPlan(cell, name, agent.settings)
        for name, agent in classical_agents(cell).items()
    }
    learned = KINDS[cell.table].agents(cell, budget, num_iterations)
    optimum = {OPTIMUM: OptimumPlan(cell)} if has_optimum(cell) else {}
    return optimum | classical | learned
