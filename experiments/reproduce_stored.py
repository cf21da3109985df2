"""What is known of the rows of the reproduction, and what all of its tables say."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from experiments.reproduce_cells import cells_of, published
from experiments.row_folder import markdown

Row = dict[str, Any]  # of row.json


class Stored(NamedTuple):
    """What is known, by CELL/AGENT."""

    rows: dict[str, Row]
    estimates: dict[str, Row]  # of what training would take

    def agents(self, table: str, agents: Iterable[str]) -> list[str]:
        """Those agents that were run in at least one cell, or are published."""
        return [name for name in agents if self._is_known(table, name)]

    def _is_known(self, table: str, agent: str) -> bool:
        return any(
            f"{cell}/{agent}" in self.rows | self.estimates or agent in published(cell)
            for cell in cells_of(table)
        )


def is_good(row: Row | None) -> bool:
    """True where there is a row that has not failed."""
    return row is not None and "failed" not in row


def not_run(estimate: Row | None) -> str:
    """What stands in place of a row that is not there."""
    if not is_good(estimate):
        return "not run"
    return (
        f"not run ({estimate['seconds_per_iteration']:.3g} s an iteration, "
        f"{_duration(estimate['seconds'])} in all)"
    )


def cost_table(table: str, agents: list[str], stored: Stored) -> str:
    """What training took, or would take, with a line for each cell."""
    return cell_table(table, agents, stored, _cost)


def cell_table(
    table: str,
    columns: list[str],
    stored: Stored,
    entry: Callable[[str, str, Stored], str],
) -> str:
    """A line for each cell and a column for each agent."""
    lines = [
        [cell, *(entry(cell, column, stored) for column in columns)]
        for cell in cells_of(table)
    ]
    return markdown(["", *columns], lines)


def _cost(cell: str, agent: str, stored: Stored) -> str:
    row = stored.rows.get(f"{cell}/{agent}")
    if not is_good(row):
        return not_run(stored.estimates.get(f"{cell}/{agent}")) if row is None else ""
    seconds = row["seconds_per_iteration"]
    each = "" if seconds is None else f", {seconds:.3g} s an iteration"
    seeds = "1 seed" if row["num_seeds"] == 1 else f"{row['num_seeds']} seeds"
    return (
        f"{row['env_steps'] / 1e6:.1f} M, {_duration(row['seconds_per_seed'])}, "
        f"{seeds}{each}"
    )


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
