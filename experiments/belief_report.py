"""Beliefs of a trained run as the host sees them: trials, numbers, figures."""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from envs.tasks import without_number
from experiments.experiment import Experiment, Problem, at_test_time, build
from experiments.grid_beliefs import GoalBeliefs, Grid, compare_beliefs, grid_of
from experiments.run_directory import RunDirectory
from experiments.trained import TrainedAgent, load_agent
from metarl_jax import belief_plots, evaluation
from metarl_jax.belief_plots import GoalPanel
from metarl_jax.beliefs import Belief
from metarl_jax.checks import require
from metarl_jax.probes import (
    NUM_FOLDS,
    num_distinct,
    principal_plane,
    probe_curve,
    task_folds,
)
from metarl_jax.run_files import make_folder, write_json
from metarl_jax.types import Array, Key, Params, Rollout, Task

_DRAWN_STEPS = 8


class Inference(NamedTuple):
    """What was lived through and believed in M held-out tasks."""

    trials: Rollout  # [M, K+1, T, E]
    beliefs: Belief  # leaves [M, K+1, T, E, Z]
    parameters: Array  # of the tasks, [M, P]


def report(options) -> str:
    """Plays held-out tasks, writes the results and describes them in a table.

    Raises:
      ValueError: if the run infers no tasks, or an option is out of range.
      OSError: if the results cannot be written.
    """
    directory = RunDirectory(options.run_dir)
    _, experiment = directory.load()
    _check(build(at_test_time(experiment)))
    out = options.out or directory.path / "beliefs"
    make_folder(out)
    agent = load_agent(options.run_dir, options.seed_index)
    play_key, decode_key = jax.random.split(jax.random.key(options.seed))
    tasks = _held_out(experiment, agent.problem, options)
    inference = infer(play_key, agent, tasks)
    results = _probe(inference, out)
    grid = grid_of(experiment)
    if grid is not None and agent.problem.algorithm.predict_reward is not None:
        compared = _compare(decode_key, grid, agent, inference, options.num_samples)
        _draw_goals(out / "goals.png", grid, compared, inference, options.trial)
        results |= _distances(compared, inference.trials)
    write_json(out / "beliefs.json", results)
    return f"{_table(results)}\nresults in {out}"


def infer(key: Key, agent: TrainedAgent, tasks: Task) -> Inference:
    """Plays one trial in each of M tasks, leaves [M, ...]."""
    algorithm = agent.problem.algorithm

    def one(params: Params, entry: tuple[Key, Task]) -> tuple[Rollout, Belief]:
        trial = algorithm.adapt(entry[0], params, entry[1])
        return trial, algorithm.beliefs(params, trial)

    parameters = _parameters(tasks)
    keys = jax.random.split(key, len(parameters))
    axis = agent.problem.axis.local()
    play = jax.jit(lambda params, entries: axis.map(one, params, entries))
    return Inference(*play(agent.params, (keys, tasks)), parameters.astype(float))


def _parameters(tasks: Task) -> Array:
    """The numbers that a task is made of, [M, P]."""
    return jax.vmap(lambda task: ravel_pytree(task)[0])(without_number(tasks))


def _check(problem: Problem) -> None:
    if problem.algorithm.beliefs is None:
        raise ValueError(
            "this run infers no tasks: train one that does, such as varibad or pearl"
        )


def _held_out(experiment: Experiment, problem: Problem, options) -> Task:
    config = dataclasses.replace(
        experiment.evaluation,
        task_set=options.task_set or experiment.evaluation.task_set,
        num_tasks=options.num_tasks,
    )
    tasks = evaluation.held_out_tasks(problem.tasks, config)
    num_tasks = len(jax.tree.leaves(tasks)[0])
    require(
        0 <= options.trial < num_tasks,
        f"--trial must be from 0 to {num_tasks - 1}, not {options.trial}",
    )
    distinct = num_distinct(_parameters(tasks))
    is_fixed = config.task_set in problem.tasks.fixed
    mend = "" if is_fixed else "raise --num-tasks, or "
    require(
        distinct >= NUM_FOLDS,
        f"a probe needs {NUM_FOLDS} distinct tasks or more, not {distinct}: {mend}name "
        "another --task-set",
    )
    return tasks


def _probe(inference: Inference, out: Path) -> dict[str, Any]:
    """What can be read from the beliefs; draws reading.png and embeddings.png."""
    parameters = inference.parameters
    folds = task_folds(parameters)
    r_squared = jax.jit(probe_curve)(inference.beliefs.mean, parameters, folds)
    spread = jnp.mean(jnp.sqrt(inference.beliefs.variance), axis=(0, 3, 4))
    last = inference.beliefs.mean[:, -1, -1, 0]
    plane, parts = principal_plane(last)
    figure = belief_plots.reading(r_squared, spread)
    figure.savefig(out / "reading.png", dpi=150)
    figure = belief_plots.embeddings(plane, parts, inference.parameters)
    figure.savefig(out / "embeddings.png", dpi=150)
    return {
        "num_tasks": len(inference.parameters),
        "r_squared": jnp.nanmean(r_squared, axis=-1).tolist(),
        "r_squared_by_parameter": jnp.moveaxis(r_squared, -1, 0).tolist(),
        "standard_deviation": spread.tolist(),
        "embeddings": plane.tolist(),
        "explained_variance": parts.tolist(),
        "task_parameters": inference.parameters.tolist(),
    }


def _compare(
    key: Key, grid: Grid, agent: TrainedAgent, inference: Inference, num_samples: int
) -> GoalBeliefs:
    """Beliefs over the goal beside the exact ones, leaves [M, ...]."""

    @jax.jit
    def compare(params: Params, entries: tuple[Key, Rollout, Belief]) -> GoalBeliefs:
        reward = partial(agent.problem.algorithm.predict_reward, params)
        one = lambda entry: compare_beliefs(
            entry[0], grid, reward, *entry[1:], num_samples
        )
        return jax.lax.map(one, entries)

    keys = jax.random.split(key, len(inference.parameters))
    return compare(agent.params, (keys, inference.trials, inference.beliefs))


def _distances(compared: GoalBeliefs, trials: Rollout) -> dict[str, Any]:
    by_step = compared.distance.mean(axis=0).reshape(trials.reward.shape[1:3])
    return {
        "total_variation": float(by_step.mean()),
        "total_variation_by_episode": by_step.mean(axis=1).tolist(),
        "total_variation_by_step": by_step.tolist(),
    }


def _draw_goals(
    path: Path, grid: Grid, compared: GoalBeliefs, inference: Inference, trial: int
) -> None:
    """Draws steps of one life that are spread over its first two episodes."""
    size, horizon = grid.env.size, grid.env.horizon
    life = jax.tree.map(lambda leaf: np.asarray(leaf[trial]), compared)
    cells = np.asarray(inference.trials.observation[trial, :, :, 0]).reshape(-1, 2)
    last = min(len(cells), 2 * horizon) - 1
    panels = [
        GoalPanel(
            step,
            life.learned[step].reshape(size, size),
            life.exact[step].reshape(size, size),
            cells[step // horizon * horizon : step + 1],
            life.distance[step],
        )
        for step in np.unique(np.linspace(0, last, _DRAWN_STEPS).round().astype(int))
    ]
    belief_plots.goals_over_time(panels).savefig(path, dpi=150)


def _table(results: dict[str, Any]) -> str:
    """A line for each episode of a trial."""
    distances = results.get("total_variation_by_episode")
    lines = [f"{'episode':>7} {'R² first step':>14} {'R² last step':>13}"]
    lines[0] += f" {'total variation':>16}" if distances else ""
    for episode, curve in enumerate(results["r_squared"]):
        line = f"{episode:>7} {curve[0]:>14.3f} {curve[-1]:>13.3f}"
        line += f" {distances[episode]:>16.4f}" if distances else ""
        lines.append(line)
    if distances:
        lines.append(f"mean total variation: {results['total_variation']:.4f}")
    return "\n".join(lines)
