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
from metarl_jax.checks import require
from metarl_jax.machine import device_kind
from metarl_jax.run_files import replace_file

_MEASURED_SECONDS = 20.0
_MOST_CHUNKS = 20


@dataclasses.dataclass(frozen=True)
class Speeds(RowFolder):
    """The seconds that a training iteration of each row takes, measured once."""

    def prepare(self, names: list[str]) -> None:
        """Makes the folders of these rows.

        Raises:
          ValueError: if one holds another configuration, or any was measured on another
            kind of device.
        """
        super().prepare(names)
        for name, row in good(self.rows()).items():
            require(
                row["device"] == device_kind(),
                f"{self.path / name} was measured on {row['device']}, and this is "
                f"{device_kind()}: choose another --out, or remove it",
            )

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
        row = self.rows().get(name, {"failed": "it was not tried"})
        if "failed" in row:
            raise ValueError(f"an iteration could not be measured: {row['failed']}")
        needed = row["seconds_per_iteration"]
        require(
            seconds >= needed,
            f"{seconds:g} seconds are below one iteration of {name}, {needed:.3g} s",
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
        row = {"seconds_per_iteration": seconds, "device": device_kind()}
        speeds.record(name, row)


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
