"""Training against the clock, until held-out tasks give a return."""

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from experiments.experiment import (
    Experiment,
    at_test_time,
    build,
    env_steps_per_iteration,
)
from experiments.row_folder import RowFolder, failures_recorded, write_table
from metarl_jax import evaluation, platform
from metarl_jax.types import Params


class Mark(NamedTuple):
    """Where training stands after a test; seconds are wall-clock."""

    iterations: int
    env_steps: int
    seconds: float  # since the process was started
    training_seconds: float  # of these, with compiling
    evaluation_seconds: float  # of these, with compiling
    score: float  # mean return after adaptation on the held-out tasks


def measure(
    out: Path, name: str, experiment: Experiment, target: float, started: float
) -> None:
    """Trains in this process until the target, or the last iteration.

    Writes curve.csv after every test, and row.json. Exits with 1 if the row failed,
    for a reason that row.json then holds.

    Args:
      out: the folder of all rows.
      name: of the row.
      experiment: tested after each chunk of its training.
      target: the score to reach.
      started: the `time.time()` at which this process was started.
    """
    platform.configure(cache=False)
    folder = RowFolder(out, {name: experiment})
    curve = []
    with failures_recorded(folder, name):
        for mark in marks(experiment, started):
            curve.append(mark)
            write_table(out / name / "curve.csv", Mark._fields, curve)
            print(
                f"{name}: {mark.iterations} iterations, {mark.seconds:.1f} s, "
                f"return {mark.score:.2f}",
                flush=True,
            )
            if mark.score >= target:
                break
        reached = mark.score >= target
        folder.record(name, mark._asdict() | {"reached": reached})


def marks(experiment: Experiment, started: float) -> Iterator[Mark]:
    """Trains the experiment and tests it after each chunk of iterations.

    Raises:
      FloatingPointError: if a score is not finite.
    """
    problem = build(experiment)
    config = experiment.training
    score_of = _score(experiment)
    chunks = problem.train(config, problem.initial_state(config))
    env_steps = env_steps_per_iteration(problem, config.num_tasks)
    trained = tested = 0.0
    before = time.monotonic()
    for state, _ in chunks:
        between = time.monotonic()
        score = score_of(state.train_state.params)
        after = time.monotonic()
        trained += between - before
        tested += after - between
        done = int(state.iteration[0])
        if not math.isfinite(score):
            raise FloatingPointError(f"the return is not finite at iteration {done}")
        yield Mark(
            done, done * env_steps, time.time() - started, trained, tested, score
        )
        before = time.monotonic()


def _score(experiment: Experiment) -> Callable[[Params], float]:
    """The mean return over held-out tasks after the last step of adaptation."""
    problem = build(at_test_time(experiment))
    tasks = evaluation.held_out_tasks(problem.tasks, experiment.evaluation)
    returns = problem.returns_program(tasks)
    key = jax.random.key(experiment.evaluation.seed)
    return lambda params: float(np.asarray(returns(key, params))[..., -1].mean())
