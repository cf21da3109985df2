"""The rows of the reproduction: CELL/AGENT, each scored in a process of its own."""

import dataclasses
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from experiments.experiment import Experiment, build
from experiments.reproduce_agents import ClassicalPlan, OptimumPlan
from experiments.reproduce_classical import classical_agents
from experiments.reproduce_kinds import KINDS
from experiments.reproduce_optima import optimum
from experiments.reproduce_scores import classical_score
from experiments.reproduce_stored import Stored
from experiments.reproduce_tables import tables
from experiments.row_folder import RowFolder, failures_recorded
from experiments.row_results import compiled_seconds, train_and_measure
from experiments.run_directory import RunDirectory
from experiments.trainer import restore
from metarl_jax import platform
from metarl_jax.machine import description
from metarl_jax.run_files import replace_file

_ESTIMATES = "estimates"  # the folder of those, beside the cells


@dataclasses.dataclass(frozen=True)
class Reproduction(RowFolder):
    """Agents that are trained, if they learn, and scored; `planned` says how."""

    table_name: str
    num_trials: int
    command: str  # is recorded with each row

    def is_done(self, name: str) -> bool:
        """True where a row is scored on as many trials as are wanted."""
        if not super().is_done(name):
            return False
        plan, row = self.planned[name], self.rows()[name]
        return isinstance(plan, OptimumPlan) or row["num_trials"] == self.num_trials

    def program(self, name: str) -> Callable[[], None]:
        """What the process of a row does."""
        return partial(run_score, self, name)

    def table(self) -> str:
        """The tables of all that is stored in the folder."""
        return tables(self.table_name, stored(self.path))

    def write(self) -> None:
        """Writes the tables."""
        replace_file(self.path / f"{self.table_name}.md", self.table().encode())


@dataclasses.dataclass(frozen=True)
class Estimates(RowFolder):
    """What training each learned agent would take, from a few iterations of it."""

    table_name: str
    num_iterations: int  # that are timed
    command: str

    def is_done(self, name: str) -> bool:
        """True where as many iterations were timed as are wanted."""
        timed = lambda: self.rows()[name].get("num_timed_iterations")
        return super().is_done(name) and timed() == self.num_iterations

    def program(self, name: str) -> Callable[[], None]:
        """What the process of a row does."""
        return partial(run_estimate, self, name)

    def table(self) -> str:
        """The tables of all that is stored beside the estimates."""
        return tables(self.table_name, stored(self.path.parent))

    def write(self) -> None:
        """Writes the tables."""
        path = self.path.parent / f"{self.table_name}.md"
        replace_file(path, self.table().encode())


def estimates_in(out: Path) -> Path:
    """The folder of the estimates that belong to the rows in `out`."""
    return out / _ESTIMATES


def stored(out: Path) -> Stored:
    """All that was scored or estimated in a folder, whatever the command."""
    return Stored(_rows_in(out), _rows_in(estimates_in(out)))


def run_score(folder: Reproduction, name: str) -> None:
    """Scores one row in this process, and writes its row.json.

    Exits with 1 if the row failed, for a reason that row.json then holds, and with 130
    if it was interrupted.
    """
    platform.configure()
    with failures_recorded(folder, name):
        score(folder, name)


def score(folder: Reproduction, name: str) -> None:
    """Scores one row, after training it if it learns, and writes its row.json."""
    of_kind = _SCORES[type(folder.planned[name])]
    _record(folder, name, of_kind(folder, name))


def run_estimate(folder: Estimates, name: str) -> None:
    """Times a few iterations of one row in this process; writes and ends likewise."""
    platform.configure()
    with failures_recorded(folder, name):
        experiment = folder.planned[name]
        seconds = seconds_per_iteration(experiment, folder.num_iterations)
        num_iterations = experiment.training.num_iterations
        estimate = {
            "seconds_per_iteration": seconds,
            "num_timed_iterations": folder.num_iterations,
            "num_iterations": num_iterations,
            "num_seeds": experiment.training.num_seeds,
            "seconds": seconds * num_iterations,
        }
        _record(folder, name, estimate)


def seconds_per_iteration(experiment: Experiment, num_iterations: int) -> float:
    """The mean seconds of an iteration of all seeds, without compiling."""
    problem = build(experiment)
    config = dataclasses.replace(
        experiment.training, num_iterations=1 + num_iterations, iterations_per_chunk=1
    )
    chunks = problem.train(config, problem.initial_state(config))
    next(chunks)  # compiles
    start = time.monotonic()
    for _ in chunks:
        pass
    return (time.monotonic() - start) / num_iterations


def _classical(folder: Reproduction, name: str) -> dict[str, Any]:
    plan = folder.planned[name]
    start = time.monotonic()
    agent = classical_agents(plan.cell)[plan.agent]
    row = classical_score(plan.cell, agent, folder.num_trials)
    return row | {"seconds": time.monotonic() - start}


def _optimum(folder: Reproduction, name: str) -> dict[str, Any]:
    start = time.monotonic()
    value = optimum(folder.planned[name].cell)
    return value | {"seconds": time.monotonic() - start}


def _learned(folder: Reproduction, name: str) -> dict[str, Any]:
    experiment = folder.planned[name]
    directory = RunDirectory(folder.path / name)
    costs = train_and_measure(directory, name, experiment)
    state = restore(directory, build(experiment), experiment)
    params = state.train_state.params
    score = KINDS[folder.table_name].score
    row = score(experiment, params, folder.num_trials, directory.path)
    num_iterations = experiment.training.num_iterations
    seconds = compiled_seconds(directory.metrics)
    if seconds is not None:
        seconds *= experiment.training.num_seeds / num_iterations
    return {
        **row,
        **costs,
        "num_iterations": num_iterations,
        "seconds_per_iteration": seconds,
        "description": experiment.description,
    }


_SCORES: dict[type, Callable[[Reproduction, str], dict[str, Any]]] = {
    ClassicalPlan: _classical,
    OptimumPlan: _optimum,
    Experiment: _learned,
}


def _record(folder: Any, name: str, row: dict[str, Any]) -> None:
    folder.record(name, row | {"command": folder.command, "machine": description()})


def _rows_in(path: Path) -> dict[str, dict[str, Any]]:
    """The rows CELL/AGENT of a folder."""
    return {
        f"{file.parts[-3]}/{file.parts[-2]}": json.loads(file.read_text())
        for file in sorted(path.glob("*/*/row.json"))
    }
