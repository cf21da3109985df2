"""Robots in the reproduction: how long agents are trained, and how they are scored."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.experiment import Experiment, at_test_time, build
from experiments.locomotion import AGENTS, FOR_CPU, Size, experiment
from experiments.reproduce_cells import Cell
from experiments.run_directory import RunDirectory
from metarl_jax import evaluation
from metarl_jax.evaluation import AdaptationCurve
from metarl_jax.run_logs import read_metrics
from metarl_jax.types import Params

SIZES = {
    "small": FOR_CPU,
    # the batches of Finn et al. (2017), for an accelerator
    "paper": Size(num_tasks=40, num_episodes=20, num_iterations=200, num_seeds=3),
}
_SCORED_SEED = 2_000_000  # of tasks and episodes, far from the seeds of training
_LARGEST_CURVE = 100  # points of a learning curve that are kept


def agents(
    cell: Cell, budget: str, num_iterations: int | None = None
) -> dict[str, Experiment]:
    """How each agent is trained on the robots of a cell, by name.

    Raises:
      ValueError: if there is no such budget; names those that there are.
    """
    if budget not in SIZES:
        raise ValueError(f"no budget '{budget}'; choose from {', '.join(SIZES)}")
    size = SIZES[budget]
    if num_iterations is not None:
        size = dataclasses.replace(size, num_iterations=num_iterations)
    return {name: experiment(cell.environment, name, size) for name in AGENTS}


def adaptation_score(
    trained: Experiment, params: Params, num_tasks: int
) -> dict[str, Any]:
    """Mean returns by adaptation step on tasks that were not trained on.

    Args:
      trained: the experiment, as it was trained, with the trial of its evaluation.
      params: leaves [S, ...].
      num_tasks: M; every agent of a family gets the same ones.

    Returns:
      The summary of an `AdaptationCurve`, `num_trials` M, and all returns [S][M][K+1].
    """
    problem = build(at_test_time(trained))
    config = dataclasses.replace(
        trained.evaluation, num_tasks=num_tasks, seed=_SCORED_SEED
    )
    tasks = evaluation.held_out_tasks(problem.tasks, config)
    returns = problem.returns_program(tasks)(jax.random.key(_SCORED_SEED), params)
    curve = AdaptationCurve(np.asarray(returns))
    rounded = curve.returns.astype(np.float64).round(2)
    return curve.summary() | {"num_trials": num_tasks, "returns": rounded.tolist()}


def learning_curve(path: Path) -> dict[str, list]:
    """The returns in training of a run, thinned out.

    Args:
      path: of the run.

    Returns:
      `env_steps` of a seed [I], and the returns of each seed [S][I] in the first stage
      and in the last of a trial, `before` and `after`.
    """
    metrics = read_metrics(RunDirectory(path).metrics)
    stages = [name for name in metrics if name.startswith("return_")]
    env_steps = metrics["env_steps"][0]
    count = min(len(env_steps), _LARGEST_CURVE)
    kept = np.linspace(0, len(env_steps) - 1, count).astype(int)
    thinned = lambda name: metrics[name][:, kept].round(2).tolist()
    return {
        "env_steps": env_steps[kept].tolist(),
        "before": thinned(stages[0]),
        "after": thinned(stages[-1]),
    }
