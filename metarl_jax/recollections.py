"""What an agent with a memory reads at each step, acting and learning alike."""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from gymnax.environments import spaces

from metarl_jax.rollouts import ended
from metarl_jax.types import Array, Environment, Memory, Rollout


class Recollection(NamedTuple):
    """What a policy knows beside the observation."""

    observation: Array  # [O]; the last one; 0 at first
    action: Array  # [A]; that followed it, one-hot if it is discrete
    reward: Array  # []; what it brought
    started: Array  # []; 1.0: an episode is over, or the row of it, or none was before
    elapsed: Array  # []; steps since the trial began
    sequence: Memory  # of the sequence model


def num_inputs(env: Environment) -> int:
    """The size of the input of a sequence model that reads trials of `env`."""
    observation_size = math.prod(env.observation_space.shape)
    return 2 * observation_size + action_size(env.action_space) + 3


def as_input(observation: Array, memory: Recollection, length: int) -> Array:
    """The input of a step, [D]; `length`: steps of a trial."""
    scalars = jnp.stack([memory.reward, memory.started, memory.elapsed / length])
    vectors = observation.reshape(-1), memory.observation, memory.action
    return jnp.concatenate([*vectors, scalars])


class InputParts(NamedTuple):
    """What `as_input` joined."""

    observation: Array  # [O]
    last_observation: Array  # [O]
    last_action: Array  # [A]
    scalars: Array  # [3]; reward, started, share of the trial that has elapsed


def split_input(inputs: Array, observation_size: int, action_size: int) -> InputParts:
    """The parts of the input of a step, [D]; sizes: O and A."""
    ends = observation_size, 2 * observation_size, 2 * observation_size + action_size
    return InputParts(*jnp.split(inputs, ends))


def blank(env: Environment, sequence: Memory) -> Recollection:
    """What is known before the first step; `sequence`: of the sequence model."""
    observation = jnp.zeros(math.prod(env.observation_space.shape))
    action = jnp.zeros(action_size(env.action_space))
    zero, one = jnp.zeros(()), jnp.ones(())
    return Recollection(observation, action, zero, one, zero, sequence)


def remember(
    space: Any, memory: Recollection, action: Array, reward: Array, ended: Array
) -> Recollection:
    """What is known once `action` has led to `reward`."""
    return Recollection(
        memory.observation,
        action_vector(space, action),
        jnp.asarray(reward, float),
        jnp.asarray(ended, float),
        memory.elapsed + 1,
        memory.sequence,
    )


def recall(env: Environment, trial: Rollout) -> tuple[Array, Recollection]:
    """Observations and recollections, leaves [L, ...], of one life [K+1, T]."""
    ends = ended(trial).at[:, -1].set(True)
    actions = jax.vmap(jax.vmap(partial(action_vector, env.action_space)))
    flat = lambda leaf: leaf.reshape(ends.size, -1).astype(float)
    after = lambda first, leaf: jnp.insert(flat(leaf), 0, first, axis=0)[:-1]
    recollection = Recollection(
        observation=after(0.0, trial.observation),
        action=after(0.0, actions(trial.action)),
        reward=after(0.0, trial.reward)[:, 0],
        started=after(1.0, ends)[:, 0],
        elapsed=jnp.arange(ends.size, dtype=float),
        sequence=(),
    )
    return flat(trial.observation), recollection


def action_size(space: Any) -> int:
    """The size of an action as a vector."""
    is_discrete = isinstance(space, spaces.Discrete)
    return space.n if is_discrete else math.prod(space.shape)


def action_vector(space: Any, action: Array) -> Array:
    """An action as a vector; one-hot if it is discrete."""
    if isinstance(space, spaces.Discrete):
        return jax.nn.one_hot(action, space.n)
    return action.reshape(-1)
