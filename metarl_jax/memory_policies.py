"""Policies and value functions over whole trials, with a sequence model as memory."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from gymnax.environments import spaces

from metarl_jax.networks import NetworkConfig, mlp_policy, mlp_value
from metarl_jax.rollouts import ended
from metarl_jax.types import (
    Array,
    Distribution,
    Environment,
    Key,
    Memory,
    Params,
    Policy,
    Rollout,
    SequenceModel,
)

_LINEAR = NetworkConfig(hidden_sizes=())


class TrialNetworks(NamedTuple):
    """Heads on a sequence model that reads a trial.

    Parameters are a dictionary: `memory` of the sequence model, `action` and `value`
    of the heads. A policy reads the first two, a value function the first and last;
    so they share the memory where they are given the same one.
    """

    policy: Policy  # of parameters `memory` and `action`
    init_value: Callable[[Key], Params]  # parameters `memory` and `value`
    # (params, trial [K+1, T, E]) -> the features of each step, [K+1, T, E, H], or
    # whatever else the heads read; a batch of trials puts an axis before
    features: Callable[[Params, Rollout], Any]
    # (params, features [..., H]) -> distributions [...]
    action: Callable[[Params, Any], Distribution]
    # (params, features [..., H]) -> values [...]
    value: Callable[[Params, Any], Array]


class Recollection(NamedTuple):
    """What a policy knows beside the observation."""

    observation: Array  # [O]; the last one; 0 at first
    action: Array  # [A]; that followed it, one-hot if it is discrete
    reward: Array  # []; what it brought
    started: Array  # []; 1.0: the observation is the first one of an episode
    elapsed: Array  # []; steps since the trial began
    sequence: Memory  # of the sequence model


def num_inputs(env: Environment) -> int:
    """The size of the input of a sequence model that reads trials of `env`."""
    observation_size = math.prod(env.observation_space.shape)
    return 2 * observation_size + _action_size(env.action_space) + 3


def trial_networks(
    env: Environment, model: SequenceModel, length: int
) -> TrialNetworks:
    """A policy and a value function that remember a trial.

    The input of each step is the observation, the action before it and its reward,
    whether an episode has just started (all as in Duan et al.), and besides the
    observation before, so that a transition is in one input (but for the last of an
    episode, after which the input holds the first observation of the next one), and the
    fraction of the trial that has elapsed: what is still worth exploring depends on
    what is left.

    Args:
      env: the environment.
      model: with `num_inputs(env)` inputs.
      length: steps of a trial, (K+1) * T.

    Returns:
      The corresponding `TrialNetworks`.

    References:
      Duan et al., RL^2: Fast Reinforcement Learning via Slow Reinforcement Learning
      (2016), section 2.2, https://arxiv.org/abs/1611.02779
    """
    space = spaces.Box(-jnp.inf, jnp.inf, (model.num_features,))
    action_head = mlp_policy(space, env.action_space, _LINEAR)
    init_value, value = mlp_value(space, _LINEAR)
    as_input = partial(_as_input, length=length)

    def act(params: Params, observation: Array, memory: Recollection):
        inputs = as_input(observation, memory)
        features, sequence = model.step(params["memory"], inputs, memory.sequence)
        distribution, _ = action_head.apply(params["action"], features, ())
        vector = observation.reshape(-1).astype(float)
        return distribution, memory._replace(observation=vector, sequence=sequence)

    def life(params: Params, trial: Rollout) -> Array:
        inputs = jax.vmap(as_input)(*_recall(env, trial))
        return model.unroll(params["memory"], inputs, model.initial_memory)[0]

    def features(params: Params, trial: Rollout) -> Array:
        lives = jax.vmap(partial(life, params), in_axes=2, out_axes=1)(trial)
        return lives.reshape(*trial.reward.shape, -1)

    return TrialNetworks(
        policy=Policy(
            init=_with_memory(model, "action", action_head.init),
            apply=act,
            initial_memory=_initial_memory(env, model),
            remember=partial(_remember, env.action_space),
        ),
        init_value=_with_memory(model, "value", init_value),
        features=features,
        action=lambda params, features: _at_each(
            lambda each: action_head.apply(params["action"], each, ())[0], features
        ),
        value=lambda params, features: _at_each(
            lambda each: value(params["value"], each), features
        ),
    )


def _as_input(observation: Array, memory: Recollection, length: int) -> Array:
    scalars = jnp.stack([memory.reward, memory.started, memory.elapsed / length])
    vectors = observation.reshape(-1), memory.observation, memory.action
    return jnp.concatenate([*vectors, scalars])


def _initial_memory(env: Environment, model: SequenceModel) -> Recollection:
    observation = jnp.zeros(math.prod(env.observation_space.shape))
    action = jnp.zeros(_action_size(env.action_space))
    zero, one = jnp.zeros(()), jnp.ones(())
    return Recollection(observation, action, zero, one, zero, model.initial_memory)


def _remember(
    space: Any, memory: Recollection, action: Array, reward: Array, ended: Array
) -> Recollection:
    return Recollection(
        memory.observation,
        _action_vector(space, action),
        jnp.asarray(reward, float),
        jnp.asarray(ended, float),
        memory.elapsed + 1,
        memory.sequence,
    )


def _recall(env: Environment, trial: Rollout) -> tuple[Array, Recollection]:
    """Observations and recollections, leaves [L, ...], of one life [K+1, T]."""
    ends = ended(trial).at[:, -1].set(True)
    actions = jax.vmap(jax.vmap(partial(_action_vector, env.action_space)))
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


def _action_size(space: Any) -> int:
    is_discrete = isinstance(space, spaces.Discrete)
    return space.n if is_discrete else math.prod(space.shape)


def _action_vector(space: Any, action: Array) -> Array:
    if isinstance(space, spaces.Discrete):
        return jax.nn.one_hot(action, space.n)
    return action.reshape(-1)


def _with_memory(
    model: SequenceModel, name: str, init_head: Callable[[Key], Params]
) -> Callable[[Key], Params]:
    def init(key: Key) -> Params:
        memory_key, head_key = jax.random.split(key)
        return {"memory": model.init(memory_key), name: init_head(head_key)}

    return init


def _at_each(head: Callable[[Array], Any], features: Array) -> Any:
    """Applies a head to features [..., H]: leaves [..., *]."""
    for _ in features.shape[:-1]:
        head = jax.vmap(head)
    return head(features)
