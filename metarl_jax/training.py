"""The outer loop: one compiled program for a chunk of iterations of any algorithm."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from metarl_jax.checks import require, require_seeds
from metarl_jax.rollouts import episode_return
from metarl_jax.task_axis import TaskAxis
from metarl_jax.types import (
    Array,
    Key,
    MetaAlgorithm,
    Metrics,
    Rollout,
    Task,
)


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How long to train, on how many tasks, and how often the host looks in."""

    num_iterations: int = 100
    num_tasks: int = 40  # N
    seed: int = 0
    num_seeds: int = 1  # independent runs in one program, seeds seed, seed + 1, ...
    iterations_per_chunk: int = 5  # between two looks of the host
    iterations_per_checkpoint: int = 25
    num_checkpoints: int = 3  # how many of the newest to keep
    tasks_per_chunk: int | None = None  # None: what is fast
    num_devices: int | None = None  # None: as many as divide num_tasks; see task_axis

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            valid = value is None or value >= 1 or field.name == "seed"
            require(valid, f"{field.name} must be 1 or more, not {value}")
        require_seeds(self.seed, self.num_seeds)


class RunState(NamedTuple):
    """All that a run needs in order to go on bit for bit."""

    train_state: Any  # the algorithm's; leaves [num_seeds, ...]
    key: Key  # [num_seeds]
    iteration: Array  # [num_seeds]; the number of iterations done


def initial_state(algorithm: MetaAlgorithm, config: TrainingConfig) -> RunState:
    """The state before the first iteration, one for each seed.

    No leaf is of a weak type, as none of a checkpoint is: a run that is resumed calls
    the same programs, which it may find compiled.
    """

    def one_seed(key: Key) -> RunState:
        init_key, run_key = jax.random.split(key)
        return RunState(algorithm.init(init_key), run_key, jnp.array(0))

    seeds = config.seed + jnp.arange(config.num_seeds)
    # not by vmap: batches of matrices that are made orthogonal at the same time can
    # keep all threads of a CPU waiting for each other
    each = lambda keys: jax.tree.map(_strong, jax.lax.map(one_seed, keys))
    return jax.jit(each)(jax.vmap(jax.random.key)(seeds))


def _strong(leaf: Array) -> Array:
    return leaf.astype(leaf.dtype) if leaf.weak_type else leaf


def meta_step(
    algorithm: MetaAlgorithm,
    sample_task: Callable[[Key], Task],
    axis: TaskAxis,
    num_tasks: int,
) -> Callable[[RunState], tuple[RunState, Metrics]]:
    """One meta-iteration of one seed: sample tasks, adapt in each, update.

    Args:
      algorithm: the meta-learner.
      sample_task: draws a training task.
      axis: how to go over tasks.
      num_tasks: N.

    Returns:
      `state -> (state, metrics)`; metrics are the algorithm's own, and `return`
      [K+1], the mean return of the rollouts after k adaptations. Where `info` of the
      environment has `diverged`, `diverged` [] is its sum over all steps: how many
      simulations did.
    """

    def step(state: RunState) -> tuple[RunState, Metrics]:
        key = jax.random.fold_in(state.key, state.iteration)
        collect_key, update_key = jax.random.split(key)
        trials = collect_trials(
            collect_key, algorithm, state.train_state, sample_task, axis, num_tasks
        )
        train_state, metrics = algorithm.update(update_key, state.train_state, trials)
        returns = axis.mean(lambda _, trial: stage_returns(trial), (), trials)
        metrics |= {"return": returns}
        if "diverged" in trials.metrics:
            diverged = lambda _, trial: jnp.sum(trial.metrics["diverged"])
            metrics["diverged"] = num_tasks * axis.mean(diverged, (), trials)
        return RunState(train_state, state.key, state.iteration + 1), metrics

    return step


def collect_trials(
    key: Key,
    algorithm: MetaAlgorithm,
    train_state: Any,
    sample_task: Callable[[Key], Task],
    axis: TaskAxis,
    num_tasks: int,
) -> Rollout:
    """Experience in each of `num_tasks` freshly drawn tasks: [N, ..., K+1, T, E].

    Each device draws the tasks that it collects in.
    """
    task_key, adapt_key = jax.random.split(key)

    def trial(train_state: Any, keys: tuple[Key, Key]) -> Rollout:
        return algorithm.collect(keys[1], train_state, sample_task(keys[0]))

    of_task = lambda key: jax.random.split(key, num_tasks)
    return axis.map(trial, train_state, (of_task(task_key), of_task(adapt_key)))


def stage_returns(trial: Rollout) -> Array:
    """The mean return at each stage of a trial [..., K+1, T, E]: [K+1]."""
    if trial.reward.ndim > 3:  # of several trials in one task
        return jnp.mean(jax.vmap(stage_returns)(trial), axis=0)
    return jnp.mean(jax.vmap(episode_return)(trial), axis=-1)


def train(
    step: Callable[..., tuple[RunState, Metrics]],
    state: RunState,
    axis: TaskAxis,
    num_iterations: int,
    iterations_per_chunk: int,
    *arguments: Any,
) -> Iterator[tuple[RunState, Metrics]]:
    """Runs `step` for all seeds at once until `num_iterations` are done.

    A chunk is one call of a compiled program, in which nothing crosses to the host.

    Args:
      step: `(state, *arguments) -> (state, metrics)` of one seed.
      state: where to start; its buffers are given to the first chunk.
      axis: that `step` goes over tasks by; seeds go likewise.
      num_iterations: counted from iteration 0, also where `state` is further on.
      iterations_per_chunk: how many iterations between two yields.
      *arguments: of `step`; given to the program rather than compiled into it.

    Yields:
      After each chunk the state, and metrics with axes [num_seeds, iterations, ...].
      The state must not be used once the next chunk has been asked for.
    """
    programs = {}
    done = int(state.iteration[0])
    state = axis.replicate(state)
    while done < num_iterations:
        length = min(iterations_per_chunk, num_iterations - done)
        if length not in programs:
            programs[length] = chunk_program(step, axis, length)
        state, metrics = programs[length](state, *arguments)
        done += length
        yield state, jax.device_get(metrics)


def chunk_program(
    step: Callable[..., tuple[RunState, Metrics]], axis: TaskAxis, length: int
) -> Callable[..., tuple[RunState, Metrics]]:
    """`length` iterations of all seeds as one compiled function; donates the state.

    It returns the state with the types of `initial_state`.
    """

    def run(state: RunState, *arguments: Any) -> tuple[RunState, Metrics]:
        one = lambda state, _: step(state, *arguments)
        many = lambda state: jax.lax.scan(one, state, length=length)
        state, metrics = axis.over_seeds(many, state)
        return jax.tree.map(_strong, state), metrics

    return jax.jit(run, donate_argnums=0, out_shardings=axis.everywhere)
