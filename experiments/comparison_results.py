"""Rows of a comparison as they are run, and the table and figures they make."""

import contextlib
import csv
import dataclasses
import json
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from experiments.cli import Interrupted
from experiments.evaluator import evaluate
from experiments.experiment import Experiment, build, env_steps_per_iteration
from experiments.run_directory import RunDirectory, document
from experiments.trainer import train
from metarl_jax import platform, plots
from metarl_jax.run_files import write_json

_COSTS = ("env_steps", "seconds_per_seed", "peak_memory_mb")


@dataclasses.dataclass(frozen=True)
class Results:
    """The folder of a comparison: a run directory for each row, and what they give."""

    path: Path
    names: list[str]

    def prepare(self, planned: dict[str, Experiment]) -> None:
        """Makes the rows' folders.

        Raises:
          ValueError: if one holds a run of another configuration.
        """
        for name, experiment in planned.items():
            directory = RunDirectory(self.path / name)
            if not directory.config.exists():
                directory.create(name, experiment)
            elif document(*directory.load()) != document(name, experiment):
                raise ValueError(
                    f"{directory.path} holds another configuration: choose another "
                    "--out, or remove it"
                )

    def is_done(self, name: str) -> bool:
        return (self.path / name / "row.json").exists()

    def rows(self) -> dict[str, dict[str, Any]]:
        """What is known of the rows that are done."""
        return {
            name: json.loads((self.path / name / "row.json").read_text())
            for name in self.names
            if self.is_done(name)
        }

    def write(self) -> None:
        """Writes the table and the figures of the rows that are done."""
        rows = self.rows()
        write_json(self.path / "results.json", rows)
        (self.path / "table.md").write_text(self.table() + "\n")
        _write_csv(self.path / "table.csv", rows)
        good = {name: row for name, row in rows.items() if "failed" not in row}
        if good:
            figure = plots.comparison(good)
            figure.savefig(self.path / "adaptation.png", dpi=150)
            curves = {name: _learning_curve(self.path / name) for name in good}
            figure = plots.learning_curves(curves)
            figure.savefig(self.path / "learning.png", dpi=150)

    def table(self) -> str:
        """The rows in Markdown: return [95% interval] by step, and what it cost."""
        rows = self.rows()
        num_steps = max(
            (len(row.get("return_by_step", ())) for row in rows.values()), default=0
        )
        heads = ["", *map(str, range(num_steps)), "steps", "s", "MB"]
        lines = [heads, ["---"] * len(heads)]
        lines += [[name, *_cells(row, num_steps)] for name, row in rows.items()]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def run_row(out: Path, name: str, experiment: Experiment) -> None:
    """Trains and tests one row in this process, and writes its row.json.

    Exits with 1 if the row failed, for a reason that row.json then holds, and with 130
    if it was interrupted.
    """
    platform.configure()
    directory = RunDirectory(out / name)
    try:
        with _counted_seconds(directory.path / "seconds.json"):
            train(directory, name, experiment, name)
        row = _costs(directory, experiment)
        row |= evaluate(directory, name, experiment)
    except (Interrupted, KeyboardInterrupt):
        raise SystemExit(130) from None
    except (FloatingPointError, ValueError) as error:
        write_json(directory.path / "row.json", {"failed": str(error)})
        print(f"{name} failed: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    write_json(directory.path / "row.json", row)


def _costs(directory: RunDirectory, experiment: Experiment) -> dict[str, Any]:
    """Environment steps and seconds of training one seed, and the process's memory."""
    training = experiment.training
    steps = env_steps_per_iteration(build(experiment), training.num_tasks)
    seconds = json.loads((directory.path / "seconds.json").read_text())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "env_steps": steps * training.num_iterations,
        "seconds_per_seed": seconds / training.num_seeds,
        "peak_memory_mb": peak / (1e6 if sys.platform == "darwin" else 1e3),
    }


@contextlib.contextmanager
def _counted_seconds(path: Path) -> Iterator[None]:
    """Adds the seconds spent inside to those in a file, also when interrupted."""
    before = json.loads(path.read_text()) if path.exists() else 0.0
    start = time.monotonic()
    try:
        yield
    finally:
        write_json(path, before + time.monotonic() - start)


def _learning_curve(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Environment steps [I], and returns at the last stage [S, I]."""
    table = np.genfromtxt(path / "metrics.csv", delimiter=",", names=True, ndmin=1)
    last = [name for name in table.dtype.names if name.startswith("return_")][-1]
    seeds = np.unique(table["seed"])
    steps = table["env_steps"][table["seed"] == seeds[0]]
    return steps, np.stack([table[last][table["seed"] == seed] for seed in seeds])


def _cells(row: dict[str, Any], num_steps: int) -> list[str]:
    if "failed" in row:
        return [f"failed: {row['failed']}", *[""] * (num_steps + 2)]
    returns = [
        f"{score:.2f} [{low:.2f}, {high:.2f}]"
        for score, (low, high) in zip(
            row["return_by_step"], row["interval_by_step"], strict=True
        )
    ]
    returns += [""] * (num_steps - len(returns))
    costs = f"{row['env_steps'] / 1e6:.2f} M", f"{row['seconds_per_seed']:.0f}"
    return [*returns, *costs, f"{row['peak_memory_mb']:.0f}"]


def _write_csv(path: Path, rows: dict[str, dict[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["row", "step", "return", "low", "high", "env_steps", "s", "MB"]
        )
        for name, row in rows.items():
            costs = [row.get(name) for name in _COSTS]
            for step, score in enumerate(row.get("return_by_step", ())):
                bounds = row["interval_by_step"][step]
                writer.writerow([name, step, score, *bounds, *costs])
