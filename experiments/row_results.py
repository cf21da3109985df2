"""Rows that are trained and tested alike, and the table and figures they make."""

import contextlib
import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.comparison import env_steps
from experiments.evaluator import evaluate
from experiments.experiment import Experiment
from experiments.row_folder import (
    RowFolder,
    failure_cell,
    failures_recorded,
    good,
    markdown,
    write_table,
)
from experiments.run_directory import RunDirectory
from experiments.trainer import check_unchanged, train
from metarl_jax import platform, plots
from metarl_jax.run_files import replace_file, write_json
from metarl_jax.run_logs import CSV_NAME, read_metrics


class Summary(NamedTuple):
    """Which entries of summary.json are shown of a row, both by adaptation step."""

    name: str
    score: str
    interval: str

    def of(self, row: dict[str, Any]) -> dict[str, Any]:
        """As `plots` and the table take it; empty for a row that failed."""
        if "failed" in row:
            return {"return_by_step": [], "interval_by_step": []}
        return {
            "return_by_step": row[self.score],
            "interval_by_step": row[self.interval],
        }


MEAN = Summary("mean", "return_by_step", "interval_by_step")
INTERQUARTILE_MEAN = Summary(
    "interquartile mean", "iqm_by_step", "iqm_interval_by_step"
)

# what a row cost -> the head of its column
_COSTS = {
    "env_steps": "steps",
    "seconds_per_seed": "s",
    "compiled_seconds_per_seed": "s compiled",
    "peak_memory_mb": "MB",
}
_HEADS = ("row", "step", "return", "low", "high", *_COSTS, "failed")  # of table.csv
_LEGEND = """\
0, 1, ...: {} return on held-out tasks after that many adaptation steps, with its 95%
interval over seeds and tasks. {}Of training: environment steps of a seed; wall-clock
seconds divided by seeds, all and without compiling (the median iteration, times their
number); the most memory of the process.
"""
_PLANNED = "planned for {:g} seconds of training"
_EQUAL_SECONDS = f"Each row was {_PLANNED} a seed; taken: column 's compiled'. "


@dataclasses.dataclass(frozen=True)
class Results(RowFolder):
    """The results of a comparison or a sweep."""

    summary: Summary = MEAN
    seconds: float | None = None  # of training, where all rows get the same
    # name -> reason, of rows that were wanted but cannot be planned
    refused: dict[str, str] = dataclasses.field(default_factory=dict)

    def has_failed(self, name: str) -> bool:
        return name in self.refused or super().has_failed(name)

    def program(self, name: str) -> Callable[[], None]:
        """What the process of a row does."""
        return partial(run_row, self.path, name, self.planned[name])

    def rows(self) -> dict[str, dict[str, Any]]:
        """What is known of the rows that were run as planned, with their logs' part."""
        return {
            name: self._with_compiled_seconds(name, row)
            for name, row in super().rows().items()
        } | {name: {"failed": reason} for name, reason in self.refused.items()}

    def write(self) -> None:
        """Writes the table and the figures of the rows that are done."""
        rows = self.rows()
        write_json(self.path / "results.json", rows)
        text = f"{self.table()}\n\n{self._legend()}"
        replace_file(self.path / "table.md", text.encode())
        lines = _csv_lines(rows, self.summary)
        write_table(self.path / "table.csv", _HEADS, lines)
        done = {name: self.summary.of(row) for name, row in good(rows).items()}
        if done:
            self._draw(plots.comparison(done), "adaptation.png")
        length = "env_steps" if self.seconds is None else "compiled_seconds_per_seed"
        trained = {name: rows[name][length] for name in done if rows[name]["env_steps"]}
        curves = {
            name: self._learning_curve(name, cost)
            for name, cost in trained.items()
            if cost is not None
        }
        if curves:
            unit = "environment steps" if self.seconds is None else "seconds"
            self._draw(plots.learning_curves(curves, unit), "learning.png")

    def table(self) -> str:
        """The rows in Markdown: return [95% interval] by step, and what it cost.

        Of many steps some are shown; table.csv has all.
        """
        rows = self.rows()
        num_steps = max(
            (len(self.summary.of(row)["return_by_step"]) for row in rows.values()),
            default=0,
        )
        steps = plots.shown_stages(num_steps)
        heads = ["", *map(str, steps), *_COSTS.values()]
        lines = [
            [name, *_cells(row, self.summary.of(row), steps)]
            for name, row in rows.items()
        ]
        return markdown(heads, lines)

    def _legend(self) -> str:
        equal = _EQUAL_SECONDS.format(self.seconds) if self.seconds else ""
        return _LEGEND.format(self.summary.name, equal)

    def _draw(self, figure, name: str) -> None:
        if self.seconds is not None:
            figure.suptitle(_PLANNED.format(self.seconds))
        figure.savefig(self.path / name, dpi=150)

    def _learning_curve(self, name: str, cost: float) -> tuple[np.ndarray, np.ndarray]:
        """What it has cost so far [I], of all its cost, and last returns [S, I]."""
        metrics = read_metrics(self.path / name / CSV_NAME)
        last = [name for name in metrics if name.startswith("return_")][-1]
        steps = metrics["env_steps"][0]
        return cost * steps / steps[-1], metrics[last]

    def _with_compiled_seconds(self, name: str, row: dict[str, Any]) -> dict[str, Any]:
        if "failed" in row:
            return row
        seconds = compiled_seconds(RunDirectory(self.path / name).metrics)
        return row | {"compiled_seconds_per_seed": seconds}


def run_row(out: Path, name: str, experiment: Experiment) -> None:
    """Trains and tests one row in this process, and writes its row.json.

    Exits with 1 if the row failed, for a reason that row.json then holds, and with 130
    if it was interrupted.
    """
    platform.configure()
    directory = RunDirectory(out / name)
    results = Results(out, {name: experiment})
    with failures_recorded(results, name):
        row = train_and_measure(directory, name, experiment)
        row |= evaluate(directory, name, experiment)
        results.record(name, row)


def train_and_measure(
    directory: RunDirectory, name: str, experiment: Experiment
) -> dict[str, Any]:
    """Trains, from the newest checkpoint if any, and tells what all of it cost.

    Returns:
      Environment steps and seconds of training one seed, and the process's memory.

    Raises:
      ValueError: if a checkpoint before or after it is of other settings.
    """
    check_unchanged(directory, name, experiment)
    path = directory.path / "measured.json"
    with _measured(path):
        train(directory, name, experiment, name)
    check_unchanged(directory, name, experiment)
    measured = json.loads(path.read_text())
    return {
        "env_steps": env_steps(experiment),
        "seconds_per_seed": measured["seconds"] / experiment.training.num_seeds,
        "peak_memory_mb": measured["peak_memory_mb"],
    }


def compiled_seconds(path: Path) -> float | None:
    """Seconds of training without those of compiling, divided by seeds.

    The median over chunks of the seconds of an iteration, times the iterations, so that
    neither a restart nor a pause counts.

    Args:
      path: of a metrics.csv.

    Returns:
      None if there are less than two chunks.
    """
    seconds_of_seeds = read_metrics(path)["seconds"]
    num_seeds, seconds = len(seconds_of_seeds), seconds_of_seeds[0]
    starts = np.flatnonzero(np.diff(seconds, prepend=-1.0))
    lengths = np.diff(starts, append=len(seconds))[1:]
    taken = np.diff(seconds[starts])
    going_on = taken > 0  # time starts anew where a run was resumed
    if not going_on.any():
        return None
    per_iteration = np.median(taken[going_on] / lengths[going_on])
    return float(per_iteration * len(seconds) / num_seeds)


@contextlib.contextmanager
def _measured(path: Path) -> Iterator[None]:
    """Measures seconds and memory, on top of those of interrupted processes."""
    before = {"seconds": 0.0, "peak_memory_mb": 0.0}
    if path.exists():
        before = json.loads(path.read_text())
    start = time.monotonic()
    try:
        yield
    finally:
        seconds = before["seconds"] + time.monotonic() - start
        peak = max(before["peak_memory_mb"], platform.peak_memory_mb())
        write_json(path, {"seconds": seconds, "peak_memory_mb": peak})


def _cells(row: dict[str, Any], shown: dict[str, Any], steps: list[int]) -> list[str]:
    if "failed" in row:
        return [failure_cell(row)]
    returns = [
        f"{score:.2f} [{low:.2f}, {high:.2f}]"
        for score, (low, high) in zip(
            shown["return_by_step"], shown["interval_by_step"], strict=True
        )
    ]
    returns = [returns[step] if step < len(returns) else "" for step in steps]
    compiled = row["compiled_seconds_per_seed"]
    costs = [
        f"{row['env_steps'] / 1e6:.2f} M",
        f"{row['seconds_per_seed']:.1f}",
        "" if compiled is None else f"{compiled:.1f}",
        f"{row['peak_memory_mb']:.0f}",
    ]
    return [*returns, *costs]


def _csv_lines(rows: dict[str, dict[str, Any]], summary: Summary) -> Iterator[list]:
    """A line for each row and step, as `_HEADS` says; one for a row that failed."""
    for name, row in rows.items():
        costs = [row.get(cost) for cost in _COSTS]
        shown = summary.of(row)
        for step, score in enumerate(shown["return_by_step"]):
            bounds = shown["interval_by_step"][step]
            yield [name, step, score, *bounds, *costs, None]
        if "failed" in row:
            yield [name, *[None] * (len(_HEADS) - 2), row["failed"]]
