"""The table of the physics of robots: FAMILY/BACKEND, each in a process of its own."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

from experiments.physics_measure import physics_row, row_in_c
from experiments.physics_plan import IN_C
from experiments.row_folder import (
    RowFolder,
    failure_cell,
    failures_recorded,
    markdown,
)
from metarl_jax import platform
from metarl_jax.machine import description, device_kind
from metarl_jax.run_files import replace_file, write_json

_LEGEND = """\
Environment steps per second under random actions, medians of three runs, for each
number of robots side by side; `mujoco_c`: one robot of gymnasium by MuJoCo in C, in one
process of one thread, without what gymnasium does around it.
Compiling: seconds, for the most robots. Memory: temporaries of that program.
Steps of the physics: the family's own, and the longest with which none of 256 robots
diverged in 200 control steps, among those that divide the control step.
"""


@dataclasses.dataclass(frozen=True)
class Physics(RowFolder):
    """Measurements; `planned` holds a `PhysicsPlan` for each."""

    def program(self, name: str) -> Callable[[], None]:
        """What the process of a row does."""
        return partial(run_row, self, name)

    def write(self) -> None:
        """Writes the table and all numbers."""
        write_json(self.path / "results.json", self.rows())
        text = f"{self.table()}\n\n{_LEGEND}"
        replace_file(self.path / "table.md", text.encode())

    def table(self) -> str:
        """The rows in Markdown."""
        plans = self.planned.values()
        numbers = sorted({number for plan in plans for number in plan.num_robots})
        heads = ["family", "backend", *(f"{number} robots" for number in numbers)]
        heads += ["compiling (s)", "memory (MB)", "step (ms)", "stable (ms)", ""]
        rows = self.rows()
        lines = [
            [plan.family, plan.backend, *_cells(rows.get(name), numbers)]
            for name, plan in self.planned.items()
        ]
        return markdown(heads, lines)


def run_row(folder: Physics, name: str) -> None:
    """Measures one row in this process, and writes its row.json."""
    platform.configure(cache=False)
    plan = folder.planned[name]
    measure = row_in_c if plan.backend == IN_C else physics_row
    with failures_recorded(folder, name):
        row = measure(plan, folder.path / "turn")
        machine = {"device": device_kind(), "machine": description()}
        folder.record(name, row | machine)


def _cells(row: dict[str, Any] | None, numbers: list[int]) -> list[str]:
    if row is None:
        return ["not run"]
    if "failed" in row:
        return [failure_cell(row)]
    if "refused" in row:
        return [row["refused"]]
    if "environment" in row:
        return [f"{_thousands(row['steps_per_second'])} (1 robot)"]
    speeds = {speed["num_robots"]: speed for speed in row["speeds"]}
    cells = [
        _thousands(speeds[number]["steps_per_second"]) if number in speeds else ""
        for number in numbers
    ]
    last = row["speeds"][-1] if row["speeds"] else None
    cells += _costs(last)
    cells += [f"{1e3 * row['physics_step']:.3g}", _longest_stable(row["stability"])]
    left_out = ", ".join(row["left_out"])
    return [*cells, f"no time for {left_out}" if left_out else ""]


def _costs(speed: dict[str, Any] | None) -> list[str]:
    if speed is None:
        return ["", ""]
    return [f"{speed['compile_seconds']:.1f}", f"{speed['program_memory_mb']:.3g}"]


def _longest_stable(stability: list[dict[str, Any]]) -> str:
    if not stability:
        return ""
    stable = [entry for entry in stability if not entry["num_diverged"]]
    if not stable:
        return "none"
    return f"{1e3 * stable[-1]['physics_step']:.3g}"


def _thousands(speed: float) -> str:
    return f"{speed / 1e3:.1f} k" if speed < 1e6 else f"{speed / 1e6:.2f} M"
