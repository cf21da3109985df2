"""Rows at equal seconds: how long an iteration takes, and how many of them fit."""

import dataclasses
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from experiments.comparison import trained_for
from experiments.experiment import Experiment, build
from experiments.row_folder import (
    RowFolder,
    failure_cell,
    failures_recorded,
    good,
    markdown,
)
from metarl_jax import platform
from metarl_jax.run_files import replace_file

_MEASURED_SECONDS = 20.0
_MOST_CHUNKS = 20


@dataclasses.dataclass(frozen=True)
class Speeds(RowFolder):
    """The seconds that a training iteration of each row takes, measured once."""

    def program(self, name: str) -> Callable[[], None]:
        """What the process of a row does."""
        return partial(measure, self.path, name, self.planned[name])

    def write(self) -> None:
        """Writes the table of the rows that are measured."""
        replace_file(self.path / "table.md", f"{self.table()}\n".encode())

    def table(self) -> str:
        """The rows in Markdown: milliseconds of an iteration of a seed."""
        rows = self.rows().items()
        return markdown(["", "ms"], [[name, _cell(row)] for name, row in rows])

    def experiment(self, name: str, seconds: float) -> Experiment:
        """The row with as many iterations as fit into the seconds of a seed.

        Raises:
          ValueError: if there is not even one, or none was measured.
        """
        measured = good(self.rows())
        if name not in measured:
            raise ValueError(f"how long an iteration of {name} takes is not measured")
        needed = measured[name]["seconds_per_iteration"]
        if seconds < needed:
            raise ValueError(
                f"{seconds:g} seconds are below one iteration of {name}, {needed:.3g} s"
            )
        return trained_for(self.planned[name], math.floor(seconds / needed))


def measure(out: Path, name: str, experiment: Experiment) -> None:
    """Measures one row in this process, and writes its row.json.

    Exits with 1 if the row failed, for a reason that row.json then holds, and with 130
    if it was interrupted.
    """
    platform.configure()
    speeds = Speeds(out, {name: experiment})
    with failures_recorded(speeds, name):
        seconds = seconds_per_iteration(experiment)
        speeds.record(name, {"seconds_per_iteration": seconds})


def seconds_per_iteration(experiment: Experiment) -> float:
    """Seconds of a training iteration, compiled, divided by seeds.

    The median over chunks of iterations, as many as fit into some seconds.
    """
    problem, config = build(experiment), experiment.training
    length = config.iterations_per_chunk
    longer = dataclasses.replace(config, num_iterations=(1 + _MOST_CHUNKS) * length)
    ends = []
    for _ in problem.train(longer, problem.initial_state(config)):
        ends.append(time.monotonic())  # the first one is that of compiling
        if len(ends) > 1 and ends[-1] - ends[0] > _MEASURED_SECONDS:
            break
    return float(np.median(np.diff(ends)) / length / config.num_seeds)


def _cell(row: dict[str, Any]) -> str:
    if "failed" in row:
        return failure_cell(row)
    return f"{1000 * row['seconds_per_iteration']:.3g}"
