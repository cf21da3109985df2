"""Where the embedding of a task comes from, if not from experience."""

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from gymnax.environments import spaces

from metarl_jax.checks import num_task_parameters, num_training_tasks, require_positive
from metarl_jax.types import Array, Environment, Key, Params, Rollout, Task


@dataclasses.dataclass(frozen=True)
class TrueTask:
    """The embedding is the task itself: what an agent could do that knew it.

    For environments that put the task's parameters at the end of the observation.
    """


@dataclasses.dataclass(frozen=True)
class LearnedTable:
    """An embedding for each training task, learned as any parameter is.

    For environments with a finite set of training tasks. A new task starts at the mean
    of the table.
    """

    size: int = 5  # Z
    initial_spread: float = 0.1

    def __post_init__(self):
        require_positive(self, "size", "initial_spread")


SourceConfig = TrueTask | LearnedTable


class EmbeddingSource(NamedTuple):
    """Embeddings of tasks, as functions of a table of parameters."""

    size: int  # Z
    init: Callable[[Key], Params]  # key -> table; `()` where nothing is learned
    of_task: Callable[[Params, Task], Array]  # (table, task) -> [Z]
    # (table, trial [K+1, T, E]) -> [Z]
    of_trial: Callable[[Params, Rollout], Array]
    # table -> [Z]: of a new task; None: `of_task` and `of_trial` know those, too
    unknown: Callable[[Params], Array] | None
    observation_space: Any  # of observations without the embedding
    # observation -> the same without the embedding
    without_embedding: Callable[[Array], Array]


def embedding_source(env: Environment, config: SourceConfig) -> EmbeddingSource:
    """The source that `config` describes.

    Raises:
      ValueError: if the environment does not tell the task, or which one it is.
    """
    return _FACTORIES[type(config)](env, config)


def true_task(env: Environment, config: TrueTask) -> EmbeddingSource:
    """The task's parameters, as the environment scales them."""
    size = num_task_parameters(env)
    num_inputs = math.prod(env.observation_space.shape) - size
    any_key = jax.random.key(0)  # the end of an observation does not depend on it
    told = lambda table, task: env.reset(any_key, task)[0][-size:]
    return EmbeddingSource(
        size=size,
        init=lambda key: (),
        of_task=told,
        of_trial=lambda table, trial: trial.observation[0, 0, 0, -size:],
        unknown=None,
        observation_space=spaces.Box(-jnp.inf, jnp.inf, (num_inputs,)),
        without_embedding=lambda observation: observation[..., :-size],
    )


def learned_table(env: Environment, config: LearnedTable) -> EmbeddingSource:
    """A row of a table for each training task."""
    shape = num_training_tasks(env), config.size
    normal = partial(jax.random.normal, shape=shape)
    return EmbeddingSource(
        size=config.size,
        init=lambda key: config.initial_spread * normal(key),
        of_task=lambda table, task: _row(table, env.task_number(task)),
        of_trial=lambda table, trial: _row(
            table, trial.metrics["task_number"][0, 0, 0]
        ),
        unknown=_of_new_task,
        observation_space=env.observation_space,
        without_embedding=lambda observation: observation,
    )


def _row(table: Array, number: Array) -> Array:
    """Of the training task of this number; -1: of a task that is none of them."""
    unknown = jax.lax.stop_gradient(_of_new_task(table))
    return jnp.where(number >= 0, table[number], unknown)


def _of_new_task(table: Array) -> Array:
    return jnp.mean(table, axis=0)


_FACTORIES = {
    TrueTask: true_task,
    LearnedTable: learned_table,
}
