"""Rows of a comparison as they are run, and the table and figures they make."""

import contextlib
import csv
import dataclasses
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from experiments.cli import Interrupted
from experiments.comparison import env_steps
from experiments.evaluator import evaluate
from experiments.experiment import Experiment
from experiments.run_directory import RunDirectory, document
from experiments.trainer import train
from metarl_jax import platform, plots
from metarl_jax.run_files import replace_file, write_json

# what a row cost -> the head of its column
_COSTS = {
    "env_steps": "steps",
    "seconds_per_seed": "s",
    "compiled_seconds_per_seed": "s compiled",
    "peak_memory_mb": "MB",
}
_LEGEND = """\
0, 1, ...: mean return on held-out tasks after that many adaptation steps, with its 95%
interval over seeds and tasks. Of training: environment steps of a seed; wall-clock
seconds divided by seeds, all and without compiling (the median iteration, times their
number); the most memory of the process.
"""


@dataclasses.dataclass(frozen=True)
class Results:
    """The folder of a comparison: a run directory for each row, and what they give."""

    path: Path
    planned: dict[str, Experiment]  # of every row, in the order of the table

    def prepare(self, names: list[str]) -> None:
        """Makes the folders of these rows.

        Raises:
          ValueError: if one holds a run of another configuration.
        """
        for name in names:
            directory = RunDirectory(self.path / name)
            if not directory.config.exists():
                directory.create(name, self.planned[name])
            elif not self._is_as_planned(name):
                raise ValueError(
                    f"{directory.path} holds another configuration: choose another "
                    "--out, or remove it"
                )

    def is_done(self, name: str) -> bool:
        return self._row_file(name).exists() and not self.has_failed(name)

    def has_failed(self, name: str) -> bool:
        path = self._row_file(name)
        return path.exists() and "failed" in json.loads(path.read_text())

    def record_failure(self, name: str, reason: str) -> None:
        write_json(self._row_file(name), {"failed": " ".join(reason.split())})

    def forget_failure(self, name: str) -> None:
        self._row_file(name).unlink(missing_ok=True)

    def rows(self) -> dict[str, dict[str, Any]]:
        """What is known of the rows that were run as planned, by whatever command."""
        return {
            name: _complete(self.path / name)
            for name in self.planned
            if self._row_file(name).exists() and self._is_as_planned(name)
        }

    def write(self) -> None:
        """Writes the table and the figures of the rows that are done."""
        rows = self.rows()
        write_json(self.path / "results.json", rows)
        replace_file(self.path / "table.md", f"{self.table()}\n\n{_LEGEND}".encode())
        _write_csv(self.path / "table.csv", rows)
        good = {name: row for name, row in rows.items() if "failed" not in row}
        if good:
            figure = plots.comparison(good)
            figure.savefig(self.path / "adaptation.png", dpi=150)
        trained = [name for name, row in good.items() if row["env_steps"]]
        if trained:
            curves = {name: _learning_curve(self.path / name) for name in trained}
            figure = plots.learning_curves(curves)
            figure.savefig(self.path / "learning.png", dpi=150)

    def table(self) -> str:
        """The rows in Markdown: return [95% interval] by step, and what it cost."""
        rows = self.rows()
        num_steps = max(
            (len(row.get("return_by_step", ())) for row in rows.values()), default=0
        )
        heads = ["", *map(str, range(num_steps)), *_COSTS.values()]
        lines = [heads, ["---"] * len(heads)]
        lines += [[name, *_cells(row, num_steps)] for name, row in rows.items()]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def _row_file(self, name: str) -> Path:
        return _row_file(self.path / name)

    def _is_as_planned(self, name: str) -> bool:
        saved = json.loads(RunDirectory(self.path / name).config.read_text())
        planned = document(name, self.planned[name])
        return saved == json.loads(json.dumps(planned))


def run_row(out: Path, name: str, experiment: Experiment) -> None:
    """Trains and tests one row in this process, and writes its row.json.

    Exits with 1 if the row failed, for a reason that row.json then holds, and with 130
    if it was interrupted.
    """
    platform.configure()
    directory = RunDirectory(out / name)
    try:
        with _measured(directory.path / "measured.json"):
            train(directory, name, experiment, name)
        row = _costs(directory, experiment)
        row |= evaluate(directory, name, experiment)
    except (Interrupted, KeyboardInterrupt):
        raise SystemExit(130) from None
    except (FloatingPointError, ValueError) as error:
        Results(out, {name: experiment}).record_failure(name, str(error))
        print(f"{name} failed: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    write_json(_row_file(directory.path), row)


def compiled_seconds(path: Path) -> float | None:
    """Seconds of training without those of compiling, divided by seeds.

    The median over chunks of the seconds of an iteration, times the iterations, so that
    neither a restart nor a pause counts.

    Args:
      path: of a metrics.csv.

    Returns:
      None if there are less than two chunks.
    """
    table = np.genfromtxt(path, delimiter=",", names=True, ndmin=1)
    num_seeds = len(np.unique(table["seed"]))
    seconds = table["seconds"][table["seed"] == table["seed"][0]]
    starts = np.flatnonzero(np.diff(seconds, prepend=-1.0))
    lengths = np.diff(starts, append=len(seconds))[1:]
    taken = np.diff(seconds[starts])
    going_on = taken > 0  # time starts anew where a run was resumed
    if not going_on.any():
        return None
    per_iteration = np.median(taken[going_on] / lengths[going_on])
    return float(per_iteration * len(seconds) / num_seeds)


def _row_file(path: Path) -> Path:
    return path / "row.json"


def _complete(path: Path) -> dict[str, Any]:
    """A row with what its log says."""
    row = json.loads(_row_file(path).read_text())
    if "failed" in row:
        return row
    compiled = compiled_seconds(RunDirectory(path).metrics)
    return row | {"compiled_seconds_per_seed": compiled}


def _costs(directory: RunDirectory, experiment: Experiment) -> dict[str, Any]:
    """Environment steps and seconds of training one seed, and the process's memory."""
    measured = json.loads((directory.path / "measured.json").read_text())
    return {
        "env_steps": env_steps(experiment),
        "seconds_per_seed": measured["seconds"] / experiment.training.num_seeds,
        "peak_memory_mb": measured["peak_memory_mb"],
    }


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


def _learning_curve(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Environment steps [I], and returns at the last stage [S, I]."""
    table = np.genfromtxt(path / "metrics.csv", delimiter=",", names=True, ndmin=1)
    last = [name for name in table.dtype.names if name.startswith("return_")][-1]
    seeds = np.unique(table["seed"])
    steps = table["env_steps"][table["seed"] == seeds[0]]
    return steps, np.stack([table[last][table["seed"] == seed] for seed in seeds])


def _cells(row: dict[str, Any], num_steps: int) -> list[str]:
    if "failed" in row:
        reason = row["failed"].replace("|", "/")
        return [f"failed: {reason}", *[""] * (num_steps + len(_COSTS) - 1)]
    returns = [
        f"{score:.2f} [{low:.2f}, {high:.2f}]"
        for score, (low, high) in zip(
            row["return_by_step"], row["interval_by_step"], strict=True
        )
    ]
    returns += [""] * (num_steps - len(returns))
    compiled = row["compiled_seconds_per_seed"]
    costs = [
        f"{row['env_steps'] / 1e6:.2f} M",
        f"{row['seconds_per_seed']:.1f}",
        "" if compiled is None else f"{compiled:.1f}",
        f"{row['peak_memory_mb']:.0f}",
    ]
    return [*returns, *costs]


def _write_csv(path: Path, rows: dict[str, dict[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        heads = ["row", "step", "return", "low", "high", *_COSTS, "failed"]
        writer.writerow(heads)
        for name, row in rows.items():
            costs = [row.get(cost) for cost in _COSTS]
            for step, score in enumerate(row.get("return_by_step", ())):
                bounds = row["interval_by_step"][step]
                writer.writerow([name, step, score, *bounds, *costs, None])
            if "failed" in row:
                writer.writerow([name, *[None] * (len(heads) - 2), row["failed"]])
