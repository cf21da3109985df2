"""The parts of a meta-iteration, each as a program of its own.

The compiled meta-iteration fuses and orders its parts as it likes, so that their times
need not add up to its own.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax

from experiments.experiment import Experiment, Problem
from metarl_jax import rollouts
from metarl_jax.adaptation import adaptation_path
from metarl_jax.gradient_methods import stages
from metarl_jax.training import RunState, collect_trials
from metarl_jax.types import Params, Rollout


class Inputs(NamedTuple):
    """What a part works on, of one seed."""

    state: RunState
    trials: Rollout | None = None  # [N, ..., K+1, T, E]
    adapted: Params | None = None  # of each task, leaves [N, ...]


# inputs of one seed -> the part's output
Part = Callable[[Inputs], Any]


def trials(problem: Problem, experiment: Experiment) -> Part:
    """All that is collected, adaptation included."""
    num_tasks = experiment.training.num_tasks

    def collect(inputs: Inputs) -> Rollout:
        state = inputs.state
        return collect_trials(
            state.key,
            problem.algorithm,
            state.train_state,
            problem.tasks.train,
            problem.axis,
            num_tasks,
        )

    return collect


def update(problem: Problem, experiment: Experiment) -> Part:
    """Learning from the trials: every gradient, product and step of the optimiser."""
    algorithm = problem.algorithm
    return lambda inputs: algorithm.update(
        inputs.state.key, inputs.state.train_state, inputs.trials
    )


def gradient(problem: Problem, experiment: Experiment) -> Part | None:
    """One gradient of the outer objective; None where the algorithm names none."""
    meta_gradient = problem.algorithm.gradient
    if meta_gradient is None:
        return None
    return lambda inputs: meta_gradient(inputs.state.train_state, inputs.trials)


def adapt(problem: Problem, experiment: Experiment) -> Part | None:
    """The K adaptation steps alone, on stored trials: parameters [N, ...].

    None where the algorithm adapts no parameters, or not to one trial in each task.
    """
    adaptation = problem.algorithm.adaptation
    if adaptation is None or problem.algorithm.explore is not None:
        return None
    num_steps = experiment.algorithm.num_adaptation_steps

    def last(params: Params, trial: Rollout) -> Params:
        path = adaptation_path(adaptation, params, stages(trial, 0, num_steps))
        return jax.tree.map(lambda leaf: leaf[-1], path)

    return lambda inputs: problem.axis.map(
        last, inputs.state.train_state.params, inputs.trials
    )


def collect(problem: Problem, experiment: Experiment) -> Part | None:
    """One stage of all trials, each task with parameters of its own; as `adapt`."""
    policy = problem.algorithm.policy
    if policy is None or adapt(problem, experiment) is None:
        return None
    num_tasks = experiment.training.num_tasks
    num_episodes = experiment.algorithm.num_episodes

    def stage(_, entry: tuple) -> Rollout:
        key, task, params = entry
        return rollouts.collect(key, problem.env, policy, params, task, num_episodes)

    def all_tasks(inputs: Inputs) -> Rollout:
        keys = jax.random.split(inputs.state.key, num_tasks)
        tasks = jax.vmap(problem.tasks.train)(keys)
        return problem.axis.map(stage, (), (keys, tasks, inputs.adapted))

    return all_tasks


def compiled(part: Part | None, problem: Problem) -> Callable[[Inputs], Any] | None:
    """The part for all seeds: inputs and outputs have leaves [S, ...]."""
    return part and jax.jit(partial(problem.axis.over_seeds, part))
