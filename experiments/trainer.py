"""Training as the host sees it: progress, logs, checkpoints, interruption."""

import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import jax
import numpy as np
from tqdm import tqdm

from experiments.cli import Interrupted
from experiments.experiment import Experiment, Problem, build, env_steps_per_iteration
from experiments.run_directory import RunDirectory, document, is_of
from metarl_jax import plots, processes
from metarl_jax.checkpoints import Checkpoints
from metarl_jax.checks import require
from metarl_jax.run_logs import MetricsLog, read_metrics
from metarl_jax.training import RunState
from metarl_jax.types import Metrics


def train(
    directory: RunDirectory, name: str, experiment: Experiment, label: str
) -> RunState:
    """Trains until the experiment's last iteration, from the newest checkpoint if any.

    Args:
      directory: of the run; gets metrics, events, checkpoints and the learning curve.
      name: of the experiment.
      experiment: what to train.
      label: of the progress bar.

    Returns:
      The final state.

    Raises:
      FloatingPointError: if a metric is not finite; names iteration and checkpoint.
      Interrupted: after Ctrl-C or SIGTERM, once the state is saved.
    """
    problem = build(experiment)
    problem.axis.connect()
    config = experiment.training
    checkpoints = Checkpoints(directory.checkpoints, keep=config.num_checkpoints)
    if checkpoints.latest() is None:
        state = problem.initial_state(config)
    else:
        state = restore(directory, problem, experiment)
    done = int(state.iteration[0])
    env_steps = env_steps_per_iteration(problem, config.num_tasks)
    log = _Log(directory, done, env_steps)
    chunks = problem.train(config, state)
    progress = _Progress(label, done, config.num_iterations, env_steps)
    with progress, _stop_signals() as stop:
        for state, metrics in chunks:
            state = processes.local(state)
            before, done = done, int(state.iteration[0])
            log.write(before, metrics)
            _check_finite(metrics, before, checkpoints)
            progress.show(done, metrics)
            stopped = processes.any_process(bool(stop))
            finished = done == config.num_iterations
            due = _crosses(before, done, config.iterations_per_checkpoint)
            if finished or stopped or due:
                checkpoints.save(done, state, config=document(name, experiment))
            if stopped:
                raise Interrupted(f"stopped after {done} iterations, which are saved")
    processes.on_first(draw_learning_curve, directory)
    return state


def restore(
    directory: RunDirectory, problem: Problem, experiment: Experiment
) -> RunState:
    """The newest saved state of a run.

    Raises:
      FileNotFoundError: if nothing is saved yet.
    """
    example = jax.eval_shape(partial(problem.initial_state, experiment.training))
    return Checkpoints(directory.checkpoints).restore(example)


def check_resumable(directory: RunDirectory, experiment: Experiment) -> None:
    """Checks that a run can go on as an experiment with changed settings.

    Raises:
      ValueError: if that has other tasks, seeds or shapes, or ends too soon.
    """
    mend = "leave that as it was, or start another run with --run-dir"
    directory.check_same_problem(experiment, mend)
    done = Checkpoints(directory.checkpoints).latest()
    if done is None:
        return
    total = experiment.training.num_iterations
    require(
        total >= done,
        f"{directory.path} has done {done} iterations: give --training.num-iterations "
        f"{done} or more, not {total}",
    )
    restore(directory, build(experiment), experiment)


def check_unchanged(directory: RunDirectory, name: str, experiment: Experiment) -> None:
    """Checks that the newest checkpoint, if any, is of the very same settings.

    A process whose folder was removed may still save into the one that takes its place.

    Raises:
      ValueError: if it is not.
    """
    checkpoints = Checkpoints(directory.checkpoints)
    require(
        checkpoints.latest() is None or is_of(checkpoints.config(), name, experiment),
        f"{directory.checkpoints} has a checkpoint of other settings: remove "
        f"{directory.path}",
    )


def draw_learning_curve(directory: RunDirectory) -> None:
    """Draws the returns in metrics.csv."""
    metrics = read_metrics(directory.metrics)
    stages = [name for name in metrics if name.startswith("return_")]
    returns = np.stack([metrics[name] for name in stages], axis=-1)
    figure = plots.learning_curve(metrics["iteration"][0], returns)
    figure.savefig(directory.learning_curve, dpi=150)


def _crosses(before: int, done: int, period: int) -> bool:
    return before // period < done // period


def _check_finite(metrics: Metrics, first: int, checkpoints: Checkpoints) -> None:
    for name, values in metrics.items():
        finite = np.isfinite(values).reshape(*values.shape[:2], -1)
        bad = np.flatnonzero(~finite.all(axis=(0, 2)))
        if bad.size:
            saved = checkpoints.latest()
            kept = "no checkpoint was saved before"
            if saved is not None:
                kept = f"the last good checkpoint holds {saved} iterations"
            raise FloatingPointError(
                f"{name} is not finite at iteration {first + bad[0]}; {kept}"
            )


class _Log:
    """Writes the metrics of each chunk, with the time and the steps that it took."""

    def __init__(self, directory: RunDirectory, done: int, env_steps: int):
        self._env_steps = env_steps
        self._start = time.monotonic()
        processes.on_first(self._open, directory, done)

    def _open(self, directory: RunDirectory, done: int) -> None:
        self._log = MetricsLog(directory.path, done)

    def write(self, first: int, metrics: Metrics) -> None:
        """Logs metrics [S, C, ...], of which the first are of iteration `first`."""
        metrics = {name: np.swapaxes(values, 0, 1) for name, values in metrics.items()}
        iteration = first + np.arange(len(metrics["return"]))
        seconds = time.monotonic() - self._start
        steps = self._env_steps * (iteration + 1)
        processes.on_first(self._write, iteration, seconds, steps, metrics)

    def _write(self, *chunk) -> None:
        self._log.write(*chunk)


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """Collects Ctrl-C and SIGTERM instead of dying of them; a second one kills."""
    received = []
    previous = {}

    def handle(number, _):
        received.append(number)
        signal.signal(number, previous[number])
        tqdm.write("finishing this chunk, then saving; once more to stop at once")

    for number in (signal.SIGINT, signal.SIGTERM):
        previous[number] = signal.signal(number, handle)
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class _Progress:
    """A bar with returns before and after adaptation, speed and time left."""

    def __init__(self, label: str, done: int, total: int, env_steps: int):
        self._bar = tqdm(
            total=total,
            initial=done,
            desc=label,
            unit="it",
            disable=not processes.is_first(),
        )
        self._env_steps = env_steps
        self._time = time.monotonic()

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *_) -> None:
        self._bar.close()

    def show(self, done: int, metrics: Metrics) -> None:
        returns = metrics["return"]  # [S, C, K+1]
        before, after = returns[:, -1, 0].mean(), returns[:, -1, -1].mean()
        num_seeds = len(returns)
        now = time.monotonic()
        iterations = done - self._bar.n
        speed = iterations * num_seeds * self._env_steps / (now - self._time)
        self._time = now
        self._bar.set_postfix_str(
            f"return {before:.4g} -> {after:.4g}, {_si(speed)} steps/s", refresh=False
        )
        self._bar.update(iterations)


def _si(value: float) -> str:
    power = max(0, min(2, int(math.log10(max(value, 1)) // 3)))
    return f"{value / 1000**power:.3g}{['', 'k', 'M'][power]}"
