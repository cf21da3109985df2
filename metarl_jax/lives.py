"""Lives: what one memory lives through, as vectors in a row."""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from metarl_jax.recollections import (
    action_size,
    action_vector,
    as_input,
    num_inputs,
    recall,
)
from metarl_jax.rollouts import in_first_episode
from metarl_jax.types import Array, Environment, Rollout


class Life(NamedTuple):
    """One life of a trial; L = (K+1) * T steps."""

    inputs: Array  # [L, D]; what a sequence model reads before it acts
    observation: Array  # [L, O]
    action: Array  # [L, A]; one-hot if it is discrete
    reward: Array  # [L]
    next_observation: Array  # [L, O]
    counts: Array  # [L]; 1.0, and 0.0 after the end of an episode that ended early


def lives(env: Environment, trial: Rollout) -> Life:
    """The E lives of a trial [K+1, T, E]: leaves [E, L, ...]."""
    counts = jax.vmap(in_first_episode)(trial).astype(float)
    return jax.vmap(partial(_life, env), in_axes=2)(trial, counts)


def life_shapes(env: Environment, length: int) -> Life:
    """The shapes of a `Life` of `length` steps in `env`."""
    shape = lambda *sizes: jax.ShapeDtypeStruct((length, *sizes), jnp.zeros(()).dtype)
    observation = shape(math.prod(env.observation_space.shape))
    action = shape(action_size(env.action_space))
    inputs = shape(num_inputs(env))
    return Life(inputs, observation, action, shape(), observation, shape())


def by_life(leaf: Array) -> Array:
    """What belongs to the steps of a trial, [K+1, T, E, ...], by life: [E, L, ...]."""
    return jnp.moveaxis(leaf.reshape(-1, *leaf.shape[2:]), 1, 0)


def by_step(leaf: Array, num_stages: int) -> Array:
    """What belongs to the steps of lives, [E, L, ...], by step: [K+1, T, E, ...]."""
    steps_first = jnp.moveaxis(leaf, 0, 1)
    return steps_first.reshape(num_stages, -1, *steps_first.shape[1:])


def _life(env: Environment, trial: Rollout, counts: Array) -> Life:
    """Of a life [K+1, T]."""
    length = trial.reward.size
    flat = lambda leaf: leaf.reshape(length, -1).astype(float)
    actions = jax.vmap(jax.vmap(partial(action_vector, env.action_space)))
    observation, recollection = recall(env, trial)
    read = jax.vmap(partial(as_input, length=length))
    return Life(
        inputs=read(observation, recollection),
        observation=observation,
        action=flat(actions(trial.action)),
        reward=flat(trial.reward)[:, 0],
        next_observation=flat(trial.next_observation),
        counts=flat(counts)[:, 0],
    )
