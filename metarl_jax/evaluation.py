"""Evaluation: how return grows with adaptation on held-out tasks."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from metarl_jax import statistics
from metarl_jax.checks import require, require_positive, require_seeds
from metarl_jax.task_axis import TaskAxis
from metarl_jax.training import stage_returns
from metarl_jax.types import Key, MetaAlgorithm, Params, Rollout, Task


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    """Which held-out tasks, and how much data for how many adaptation steps."""

    task_set: str = "test"  # "train", "test", "ood" or a fixed set of the environment
    num_tasks: int = 40  # M; fixed sets have their own number
    num_adaptation_steps: int = 3  # K at test time; may exceed K in training
    num_episodes: int = 40  # E at test time
    seed: int = 0  # of the drawn tasks and of the rollouts

    def __post_init__(self):
        require_positive(self, "num_tasks", "num_episodes")
        steps = self.num_adaptation_steps
        require(steps >= 0, f"num_adaptation_steps must be 0 or more, not {steps}")
        require_seeds(self.seed)


class AdaptationCurve(NamedTuple):
    """The outcome of an evaluation."""

    returns: np.ndarray  # [S, M, K+1]; S training seeds, M tasks

    def summary(self) -> dict[str, Any]:
        """Means and interquartile means per step, with 95% bootstrap intervals."""
        scores = self.returns
        iqm = statistics.interquartile_mean
        return {
            "return_by_step": scores.mean(axis=(0, 1)).tolist(),
            "interval_by_step": _interval(scores, np.mean),
            "iqm_by_step": iqm(scores, axis=(0, 1)).tolist(),
            "iqm_interval_by_step": _interval(scores, iqm),
            "num_seeds": scores.shape[0],
            "num_tasks": scores.shape[1],
        }


def held_out_tasks(distribution: Any, config: EvaluationConfig) -> Task:
    """The tasks of a named set, the same ones every time: leaves [M, ...].

    Args:
      distribution: with samplers `train`, `test`, `ood` (may be None) and named sets
        `fixed`.
      config: names the set.

    Raises:
      ValueError: if there is no such set.
    """
    check_task_set(distribution, config)
    if config.task_set in distribution.fixed:
        return distribution.fixed[config.task_set]()
    sampler = getattr(distribution, config.task_set)
    keys = jax.random.split(jax.random.key(config.seed), config.num_tasks)
    return jax.vmap(sampler)(keys)


def check_task_set(distribution: Any, config: EvaluationConfig) -> None:
    """Raises ValueError, with the choices, if there is no such set of tasks."""
    samplers = [
        name for name in ("train", "test", "ood") if getattr(distribution, name)
    ]
    choices = [*samplers, *distribution.fixed]
    if config.task_set not in choices:
        raise ValueError(
            f"no task set '{config.task_set}'; choose from {', '.join(choices)}"
        )


def adaptation_curve(
    key: Key, algorithm: MetaAlgorithm, params: Params, tasks: Task, axis: TaskAxis
) -> AdaptationCurve:
    """Calls `adaptation_returns`, compiled once for an algorithm and all that it tests.

    Programs are kept by `algorithm` and `axis`, the objects, and by shapes.
    """
    returns = _compiled_returns(key, algorithm, axis.replicate(params), tasks, axis)
    return AdaptationCurve(np.asarray(returns))


def adaptation_returns(
    key: Key,
    algorithm: MetaAlgorithm,
    params: Params,
    tasks: Task,
    axis: TaskAxis,
    of_trial: Callable[[Rollout], Any] = stage_returns,
) -> Any:
    """Adapts to every task from every seed's meta-parameters.

    Args:
      key: of the rollouts.
      algorithm: built for the K and E of the test.
      params: meta-parameters, leaves [S, ...].
      tasks: leaves [M, ...].
      axis: how to go over tasks.
      of_trial: `(trial [K+1, T, E]) -> what is kept of it`.

    Returns:
      What is kept, leaves [S, M, ...]; by default mean returns over E episodes, after
      0, 1, ..., K steps: [S, M, K+1].
    """
    num_tasks = jax.tree.leaves(tasks)[0].shape[0]

    def kept(params: Params, entry: Any):
        return of_trial(algorithm.adapt(entry[0], params, entry[1]))

    def one_seed(key: Key, params: Params):
        keys = jax.random.split(key, num_tasks)
        return axis.map(kept, params, (keys, tasks))

    num_seeds = jax.tree.leaves(params)[0].shape[0]
    return axis.over_seeds(one_seed, jax.random.split(key, num_seeds), params)


_compiled_returns = jax.jit(adaptation_returns, static_argnames=("algorithm", "axis"))


def _interval(scores: np.ndarray, statistic: statistics.Statistic) -> list[list[float]]:
    """[low, high] for each step, over tasks and training seeds."""
    interval = statistics.stratified_bootstrap(scores, statistic, shared_seeds=True)
    return interval.T.tolist()
