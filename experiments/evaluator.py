"""Meta-testing as the host sees it: a run beside its references, files, figures."""

import contextlib
import dataclasses
import operator
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import experiments
from envs.tasks import task_parameters, without_number
from experiments.experiment import Experiment, Problem, at_test_time, build, oracle_of
from experiments.run_directory import RunDirectory
from experiments.trainer import restore, train
from metarl_jax import evaluation, plots, processes
from metarl_jax.checkpoints import Checkpoints
from metarl_jax.evaluation import AdaptationCurve
from metarl_jax.rollouts import first_episode_length
from metarl_jax.run_files import make_folder, write_json
from metarl_jax.statistics import oracle_normalized
from metarl_jax.training import stage_returns
from metarl_jax.types import Array, Params, Rollout, Task

# what published returns are of
_TASKS = operator.attrgetter(
    "environment", "environment_options", "evaluation.task_set"
)
_DRAWN_TASKS = 4
_DRAWN_EPISODES = 5
_MOST_PARAMETERS = 6  # of a task, to be drawn


class Evaluation(NamedTuple):
    """The curve of a run beside its references, on the same tasks."""

    meta_trained: AdaptationCurve
    random: AdaptationCurve  # adapted from a random initialisation
    oracle: AdaptationCurve | None  # told the task, not adapted

    def summary(self) -> dict[str, Any]:
        """Of the run, with the references' means and the oracle-normalised score."""
        result = self.meta_trained.summary()
        result["random_return_by_step"] = self.random.summary()["return_by_step"]
        if self.oracle is not None:
            random = result["random_return_by_step"][0]
            oracle = self.oracle.summary()["return_by_step"][0]
            result["oracle_return"] = oracle
            result["normalized_score_by_step"] = oracle_normalized(
                result["return_by_step"], random, oracle
            ).tolist()
        return result


def evaluate(
    directory: RunDirectory,
    name: str,
    experiment: Experiment,
    out: Path | None = None,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Evaluates the newest checkpoint of a run and writes the results.

    Several processes each evaluate for themselves: there is nothing to wait for, and
    the results are those of one process. They train the oracle together.

    Args:
      directory: of the run.
      name: of the experiment.
      experiment: as it was run, with the evaluation and settings that are wanted.
      out: where the results go; the run directory by default.
      settings: those of the algorithm that are others than in training, to be recorded.

    Returns:
      The content of summary.json.

    Raises:
      OSError: if `out` cannot be written.
      ValueError: if the oracle beside the run is of other tasks or seeds. Both are
        raised before anything is computed.
    """
    out = RunDirectory(directory.path if out is None else out)
    processes.on_first(make_folder, out.path)
    _check_oracle(directory, experiment)
    problem = build(at_test_time(experiment))
    tasks = evaluation.held_out_tasks(problem.tasks, experiment.evaluation)
    state = restore(directory, build(experiment), experiment)
    params = state.train_state.params
    start = problem.initial_state(experiment.training).train_state.params
    (meta_trained, random), paths = _curves(experiment, problem, tasks, params, start)
    oracle = _oracle_curve(directory, name, experiment, tasks)
    result = Evaluation(meta_trained, random, oracle)
    summary = result.summary() | {
        "experiment": name,
        "iteration": int(state.iteration[0]),
        "evaluation": dataclasses.asdict(experiment.evaluation),
        "algorithm_settings": dict(settings or {}),
    }
    parameters = task_parameters(tasks)

    def write():
        write_json(out.summary, summary)
        write_json(out.returns, _raw_returns(result))
        write_json(out.tasks, {each: x.tolist() for each, x in parameters.items()})
        _draw_adaptation(out, experiment, summary)
        if len(parameters) <= _MOST_PARAMETERS:
            _draw_by_task(out, result, parameters)
        if paths is not None:
            _draw_trajectories(out, paths, tasks)

    processes.on_first(write)
    return summary


def print_summary(summary: dict[str, Any]) -> None:
    """Prints the adaptation curve as a table."""
    print(f"{'steps':>5} {'return':>10} {'95% interval':>22} {'random':>10}")
    rows = zip(
        summary["return_by_step"],
        summary["interval_by_step"],
        summary["random_return_by_step"],
        strict=True,
    )
    for step, (score, (low, high), random) in enumerate(rows):
        interval = f"[{low:.2f}, {high:.2f}]"
        print(f"{step:>5} {score:>10.2f} {interval:>22} {random:>10.2f}")
    if "oracle_return" in summary:
        scores = summary["normalized_score_by_step"]
        percent = ", ".join(f"{score:.0f}%" for score in scores)
        said = "no better than random" if np.isnan(scores).all() else percent
        print(f"oracle {summary['oracle_return']:.2f}; oracle-normalised: {said}")


class _Paths(NamedTuple):
    """Where some episodes of a trial went in the plane."""

    observation: Array  # [K+1, T, E, 2]
    length: Array  # [K+1, E]


def _curves(
    experiment: Experiment, problem: Problem, tasks: Task, *candidates: Params
) -> tuple[list[AdaptationCurve], _Paths | None]:
    """Evaluates all candidates (leaves [S, ...]) by one compiled program.

    Returns:
      The curve of each; and, if tasks are goals that can be drawn, the paths of all
      candidates and seeds in this order, [candidates * S, M, ...].
    """
    in_plane = problem.observes_goal_in_plane(tasks)

    def of_trial(trial: Rollout) -> tuple[Array, _Paths | None]:
        return stage_returns(trial), _paths(trial) if in_plane else None

    together = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *candidates)
    key = jax.random.key(experiment.evaluation.seed)
    kept = problem.returns_program(tasks, of_trial)(key, together)
    returns, paths = jax.device_get(kept)
    returns = np.split(returns, len(candidates))
    return [AdaptationCurve(part) for part in returns], paths


def _paths(trial: Rollout) -> _Paths:
    """Of the first episodes of a trial [K+1, T, E]."""
    drawn = jax.tree.map(lambda leaf: leaf[:, :, :_DRAWN_EPISODES], trial)
    return _Paths(drawn.observation, jax.vmap(first_episode_length)(drawn))


def _check_oracle(directory: RunDirectory, experiment: Experiment) -> None:
    """Raises ValueError if an oracle was trained, and is of other tasks or seeds."""
    if experiment.oracle_iterations and directory.oracle.config.exists():
        mend = f"remove {directory.oracle.path}, and it is trained anew"
        directory.oracle.check_same_problem(oracle_of(experiment), mend)


def _oracle_curve(
    directory: RunDirectory, name: str, experiment: Experiment, tasks: Task
) -> AdaptationCurve | None:
    """Trains the oracle, unless that was done before, and evaluates it."""
    if experiment.oracle_iterations == 0:
        return None
    oracle = oracle_of(experiment)
    problem = build(at_test_time(oracle))
    trained = build(oracle)
    latest = Checkpoints(directory.oracle.checkpoints).latest()
    if latest != oracle.training.num_iterations:
        processes.on_first(directory.oracle.path.mkdir, 0o777, True, True)
        processes.on_first(directory.oracle.record, name, oracle)
        train(directory.oracle, name, oracle, "oracle")
    state = restore(directory.oracle, trained, oracle)
    (curve,), _ = _curves(oracle, problem, tasks, state.train_state.params)
    return curve


def _raw_returns(result: Evaluation) -> dict[str, Any]:
    """Returns by name: [seed][task][step]."""
    curves = result._asdict().items()
    return {name: curve.returns.tolist() for name, curve in curves if curve is not None}


def _draw_by_task(
    out: RunDirectory, result: Evaluation, parameters: Mapping[str, np.ndarray]
) -> None:
    oracle = None if result.oracle is None else result.oracle.returns[..., 0]
    figure = plots.returns_by_task(parameters, result.meta_trained.returns, oracle)
    figure.savefig(out.returns_by_task, dpi=150)


def _draw_adaptation(out: RunDirectory, experiment: Experiment, summary: dict) -> None:
    references = {"random initialisation": summary["random_return_by_step"]}
    if "oracle_return" in summary:
        references["oracle"] = [summary["oracle_return"]]
    references |= _published(summary["experiment"], experiment)
    figure = plots.adaptation_curve({"meta-trained": summary}, references)
    figure.savefig(out.adaptation_curve, dpi=150)


def _published(name: str, experiment: Experiment) -> Mapping[str, list[float]]:
    """Returns of the literature, where a test is on the tasks that they are of.

    Those are the tasks of the experiment as it is registered. Points of sweeps and rows
    of comparisons are not, and have none.
    """
    if not experiment.published:
        return {}
    with contextlib.suppress(ValueError):
        if _TASKS(experiment) == _TASKS(experiments.load(name)):
            return experiment.published
    return {}


def _draw_trajectories(out: RunDirectory, paths: _Paths, tasks: Task) -> None:
    """Draws what the first seed of the first candidate did in some of the tasks."""
    paths = jax.tree.map(lambda leaf: leaf[0, :_DRAWN_TASKS], paths)
    goals = without_number(tasks)[:_DRAWN_TASKS]
    figure = plots.trajectories(*paths, goals)
    figure.savefig(out.trajectories, dpi=150)
