"""Collecting experience: the only place that resets an environment."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from metarl_jax.types import (
    Array,
    Environment,
    Key,
    Memory,
    Params,
    Policy,
    Rollout,
    Task,
)


def collect(
    key: Key,
    env: Environment,
    policy: Policy,
    params: Params,
    task: Task,
    num_episodes: int,
) -> Rollout:
    """Acts in one task for `env.horizon` steps in each of `num_episodes` rows.

    An episode that ends early is followed by the next one in the same row, so that
    the data has exactly `env.horizon * num_episodes` steps, all valid, as in the
    step budgets of Duan et al. (2016) and Finn et al. (2017). The first episode of a
    row is always complete. The policy's memory lives on from episode to episode.

    Args:
      key: consumed.
      env: the environment; only its `reset` and `step` are called.
      policy: who acts.
      params: of the policy.
      task: one task.
      num_episodes: E.

    Returns:
      A rollout with axes [T, E], T = `env.horizon`, through which no gradient flows.
    """
    keys = jax.random.split(key, num_episodes)
    rows = jax.vmap(
        lambda row_key: _collect_row(row_key, env, policy, params, task), out_axes=1
    )
    return jax.lax.stop_gradient(rows(keys))  # data: losses differentiate log_prob


def ended(rollout: Rollout) -> Array:
    """Where an episode ends, for either reason: a boolean [T, E]."""
    return rollout.terminated | rollout.truncated


def episode_step(rollout: Rollout) -> Array:
    """The number of steps that the episode had before each step: integers [T, E]."""
    step = jnp.arange(rollout.reward.shape[0])[:, None]
    return step - _episode_start(ended(rollout))


def complete(rollout: Rollout) -> Array:
    """True at steps of episodes that end inside the rollout: a boolean [T, E]."""
    return jax.lax.cummax(ended(rollout).astype(jnp.int32), axis=0, reverse=True) == 1


def episode_return(rollout: Rollout) -> Array:
    """The undiscounted return of the first episode of each row: [E].

    Only first episodes count: among all that fit into a row, short ones would be
    found more often than they occur.
    """
    first = _episode_start(ended(rollout)) == 0
    return jnp.sum(rollout.reward * first, axis=0)


class _Carry(NamedTuple):
    observation: Array
    state: Any
    memory: Memory


def _collect_row(
    key: Key, env: Environment, policy: Policy, params: Params, task: Task
) -> Rollout:
    reset_key, scan_key = jax.random.split(key)

    def step(carry: _Carry, key: Key) -> tuple[_Carry, Rollout]:
        act_key, step_key, reset_key = jax.random.split(key, 3)
        distribution, memory = policy.apply(params, carry.observation, carry.memory)
        action = distribution.sample(act_key)
        observation, state, reward, terminated, truncated, info = env.step(
            step_key, carry.state, action, task
        )
        transition = Rollout(
            observation=carry.observation,
            action=action,
            log_prob=distribution.log_prob(action),
            reward=reward,
            terminated=terminated,
            truncated=truncated & ~terminated,
            next_observation=observation,
            metrics=info,
        )
        observation, state = jax.tree.map(
            lambda new, old: jnp.where(terminated | truncated, new, old),
            env.reset(reset_key, task),
            (observation, state),
        )
        return _Carry(observation, state, memory), transition

    observation, state = env.reset(reset_key, task)
    carry = _Carry(observation, state, policy.initial_memory)
    return jax.lax.scan(step, carry, jax.random.split(scan_key, env.horizon))[1]


def _episode_start(ended: Array) -> Array:
    """The time index at which each step's episode began: integers [T, E]."""
    after_end = jnp.arange(1, ended.shape[0] + 1)[:, None] * ended
    before = jnp.concatenate([jnp.zeros_like(after_end[:1]), after_end[:-1]])
    return jax.lax.cummax(before, axis=0)
