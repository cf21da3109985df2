"""What a classical agent is, and how it lives through a trial."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from metarl_jax.types import Array, Environment, Key, Memory, Task


class Experience(NamedTuple):
    """One step, as an agent learns from it."""

    observation: Array
    action: Array
    reward: Array
    next_observation: Array  # before any reset
    ended: Array  # True: the episode ended with this step


def _unchanged(key: Key, memory: Memory) -> Memory:
    """What an agent makes of its memory that plans nothing for an episode."""
    return memory


class Agent(NamedTuple):
    """Acts in one task and learns from every step; pure functions of one trial."""

    initial_memory: Memory
    # (key, memory, observation) -> action
    act: Callable[[Key, Memory, Array], Array]
    # (key, memory, experience) -> memory
    learn: Callable[[Key, Memory, Experience], Memory]
    # (key, memory) -> memory; before the first action of each episode
    begin_episode: Callable[[Key, Memory], Memory] = _unchanged


class _Carry(NamedTuple):
    observation: Array
    state: Any
    memory: Memory


def play(
    key: Key, env: Environment, agent: Agent, task: Task, num_episodes: int
) -> Array:
    """One trial: `num_episodes` consecutive episodes, all of `env.horizon` steps.

    Args:
      key: consumed.
      env: an environment whose episodes end by the horizon alone.
      agent: who acts; its memory lives on from episode to episode.
      task: one task.
      num_episodes: K + 1.

    Returns:
      Rewards, [K+1, T]; `jax.vmap` over keys and tasks for many trials.
    """

    def step(carry: _Carry, key: Key) -> tuple[_Carry, Array]:
        act_key, step_key, learn_key = jax.random.split(key, 3)
        action = agent.act(act_key, carry.memory, carry.observation)
        observation, state, reward, terminated, truncated, _ = env.step(
            step_key, carry.state, action, task
        )
        experience = Experience(
            carry.observation, action, reward, observation, terminated | truncated
        )
        memory = agent.learn(learn_key, carry.memory, experience)
        return _Carry(observation, state, memory), reward

    def episode(memory: Memory, key: Key) -> tuple[Memory, Array]:
        reset_key, begin_key, scan_key = jax.random.split(key, 3)
        memory = agent.begin_episode(begin_key, memory)
        carry = _Carry(*env.reset(reset_key, task), memory)
        keys = jax.random.split(scan_key, env.horizon)
        carry, rewards = jax.lax.scan(step, carry, keys)
        return carry.memory, rewards

    memory = jax.tree.map(jnp.asarray, agent.initial_memory)
    return jax.lax.scan(episode, memory, jax.random.split(key, num_episodes))[1]
