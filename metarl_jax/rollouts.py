"""Collecting experience: the only place that resets an environment."""

from collections.abc import Callable
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
    restart = lambda key, observation, state: env.reset(key, task)
    keys = jax.random.split(key, num_episodes)
    act = _Act(env, policy, params, task, restart)
    rows = jax.vmap(lambda key: _collect_row(key, act, policy.initial_memory)[1], 0, 1)
    return jax.lax.stop_gradient(rows(keys))  # data: losses differentiate log_prob


def collect_lives(
    key: Key,
    env: Environment,
    policy: Policy,
    params: Params,
    task: Task,
    num_stages: int,
    num_lives: int,
) -> Rollout:
    """Trials in which the memory of the policy is all that adapts.

    A life is K + 1 episodes, a row of `env.horizon` steps for each, through which the
    memory lives on; to the memory the end of a row is the end of an episode. After one
    that ends early the row stays as it was, and its steps bring nothing: with another
    episode there a trial would pay for ending the ones before (`in_first_episode` tells
    these steps). So the return of a trial is that of its K + 1 episodes.

    Args:
      key: consumed.
      env: the environment; only its `reset` and `step` are called.
      policy: who acts.
      params: of the policy.
      task: one task.
      num_stages: K + 1, rows of one life.
      num_lives: E; independent of each other.

    Returns:
      A trial with axes [K+1, T, E], through which no gradient flows. After the end of
      an episode rewards and metrics are 0, and observations those of its end.
    """
    rest = lambda key, observation, state: (observation, state)
    act = _Act(_OneEpisode(env), policy, params, task, rest)

    def life(key: Key) -> Rollout:
        memory = jax.tree.map(jnp.asarray, policy.initial_memory)
        row = lambda memory, key: _collect_row(key, act, memory)
        return jax.lax.scan(row, memory, jax.random.split(key, num_stages))[1]

    lives = jax.vmap(life, out_axes=2)
    return jax.lax.stop_gradient(lives(jax.random.split(key, num_lives)))


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


def in_first_episode(rollout: Rollout) -> Array:
    """True at steps of the first episode of each row: a boolean [T, E]."""
    return _episode_start(ended(rollout)) == 0


def episode_return(rollout: Rollout) -> Array:
    """The undiscounted return of the first episode of each row: [E].

    Only first episodes count: among all that fit into a row, short ones would be
    found more often than they occur.
    """
    return jnp.sum(rollout.reward * in_first_episode(rollout), axis=0)


def first_episode_length(rollout: Rollout) -> Array:
    """The number of steps of the first episode of each row: integers [E]."""
    return jnp.sum(in_first_episode(rollout), axis=0)


class _Act(NamedTuple):
    """Who acts where."""

    env: Environment
    policy: Policy
    params: Params
    task: Task
    # (key, observation, state) at the end of an episode -> those to go on from
    after_end: Callable[[Key, Array, Any], tuple[Array, Any]]


class _OneEpisodeState(NamedTuple):
    env_state: Any
    observation: Array
    over: Array  # []


class _OneEpisode(NamedTuple):
    """An environment in which nothing happens any more after the end of an episode."""

    env: Environment

    @property
    def horizon(self) -> int:
        return self.env.horizon

    def reset(self, key: Key, task: Task):
        observation, state = self.env.reset(key, task)
        return observation, _OneEpisodeState(state, observation, jnp.array(False))

    def step(self, key: Key, state: _OneEpisodeState, action: Array, task: Task):
        observation, env_state, reward, terminated, truncated, info = self.env.step(
            key, state.env_state, action, task
        )
        over = state.over
        observation = jnp.where(over, state.observation, observation)
        reward, info = jax.tree.map(
            lambda leaf: jnp.where(over, jnp.zeros_like(leaf), leaf), (reward, info)
        )
        state = _OneEpisodeState(env_state, observation, over | terminated | truncated)
        return observation, state, reward, terminated & ~over, truncated & ~over, info


class _Carry(NamedTuple):
    observation: Array
    state: Any
    memory: Memory


def _collect_row(key: Key, act: _Act, memory: Memory) -> tuple[Memory, Rollout]:
    env, policy, params, task, after_end = act
    reset_key, scan_key = jax.random.split(key)

    def step(carry: _Carry, inputs: tuple[Key, Array]) -> tuple[_Carry, Rollout]:
        key, is_last = inputs
        act_key, step_key, reset_key = jax.random.split(key, 3)
        distribution, memory = policy.apply(params, carry.observation, carry.memory)
        action = distribution.sample(act_key)
        observation, state, reward, terminated, truncated, info = env.step(
            step_key, carry.state, action, task
        )
        ended = terminated | truncated
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
            lambda new, old: jnp.where(ended, new, old),
            after_end(reset_key, observation, state),
            (observation, state),
        )
        memory = policy.remember(memory, action, reward, ended | is_last)
        return _Carry(observation, state, memory), transition

    inputs = jax.random.split(scan_key, env.horizon), _is_last(env.horizon)
    carry = _Carry(*env.reset(reset_key, task), memory)
    carry, row = jax.lax.scan(step, carry, inputs)
    return carry.memory, row


def _is_last(num_steps: int) -> Array:
    return jnp.arange(num_steps) == num_steps - 1


def _episode_start(ended: Array) -> Array:
    """The time index at which each step's episode began: integers [T, E]."""
    after_end = jnp.arange(1, ended.shape[0] + 1)[:, None] * ended
    before = jnp.concatenate([jnp.zeros_like(after_end[:1]), after_end[:-1]])
    return jax.lax.cummax(before, axis=0)
