"""Trained agents, to be played on any task."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax

from envs.tasks import unseen, without_number
from envs.wrappers import WithNumberedTasks
from experiments.experiment import Experiment, Problem, at_test_time, build
from experiments.run_directory import RunDirectory
from experiments.trainer import restore
from metarl_jax.checks import require
from metarl_jax.types import Environment, Key, Params, Rollout, Task


class TrainedAgent(NamedTuple):
    """The meta-parameters of one training seed, and how a trial is lived with them."""

    problem: Problem
    params: Params

    def play(self, key: Key, task: Task) -> Rollout:
        """One trial [K+1, T, E] in a task of the environment; may be jitted.

        Where tasks of training have numbers, this one has that of none of them.
        """
        if isinstance(self.problem.env, WithNumberedTasks):
            task = unseen(without_number(task))
        return self.problem.algorithm.adapt(key, self.params, task)


def load_agent(
    run: str | Path,
    seed_index: int = 0,
    num_adaptation_steps: int | None = None,
    wrap: Callable[[Environment], Environment] | None = None,
) -> TrainedAgent:
    """What a run has learned, from its newest checkpoint.

    Args:
      run: the folder of a run, such as a row of a comparison or a reproduction.
      seed_index: which of the seeds that were trained side by side, from 0.
      num_adaptation_steps: K of the trials; that of the run's evaluation by default.
      wrap: puts something around the environment that is played in.

    Raises:
      FileNotFoundError: if there is no run, or nothing of it is saved yet.
      ValueError: if there is no such seed, or the agent has no trials of that length.
    """
    directory = RunDirectory(Path(run))
    _, experiment = directory.load()
    num_seeds = experiment.training.num_seeds
    require(
        0 <= seed_index < num_seeds,
        f"seed_index must be from 0 to {num_seeds - 1}, not {seed_index}",
    )
    state = restore(directory, build(experiment), experiment)
    params = jax.tree.map(lambda leaf: leaf[seed_index], state.train_state.params)
    if num_adaptation_steps is not None:
        experiment = _tested_with(experiment, num_adaptation_steps)
    return TrainedAgent(build(at_test_time(experiment), wrap), params)


def _tested_with(experiment: Experiment, num_steps: int) -> Experiment:
    evaluation = dataclasses.replace(
        experiment.evaluation, num_adaptation_steps=num_steps
    )
    return dataclasses.replace(experiment, evaluation=evaluation)
