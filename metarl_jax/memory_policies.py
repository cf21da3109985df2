"""Policies and value functions over whole trials, with a sequence model as memory."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from gymnax.environments import spaces

from metarl_jax.action_heads import action_heads
from metarl_jax.checks import num_states, require
from metarl_jax.conditioning import (
    ConditionedNetwork,
    Conditioning,
    at_each_step,
    conditioned_policy,
    conditioned_value,
)
from metarl_jax.networks import (
    LINEAR,
    Network,
    NetworkConfig,
    policy_network,
    value_network,
)
from metarl_jax.recollections import (
    Recollection,
    as_input,
    blank,
    num_inputs,
    recall,
    remember,
)
from metarl_jax.tabular_memory import Tabular, tabular_memory
from metarl_jax.types import (
    Array,
    Distribution,
    Environment,
    Key,
    Params,
    Policy,
    Rollout,
    SequenceModel,
)


@dataclasses.dataclass(frozen=True)
class MemoryAlone:
    """Policy and value read the memory alone, in which the observation is, too."""


# how the memory enters policy and value; `Tabular` says what the memory is, too
HeadConditioning = MemoryAlone | Tabular | Conditioning


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
    # (params, what `features` gives) -> distributions [...]
    action: Callable[[Params, Any], Distribution]
    # (params, what `features` gives) -> values [...]
    value: Callable[[Params, Any], Array]


class HeadInputs(NamedTuple):
    """What policy and value are given at each step, where an embedding is among it."""

    embedding: Array  # [..., Z]; or of the first axes of `observation` alone
    observation: Array  # [..., O]


def at_steps(
    name: str, head: ConditionedNetwork
) -> Callable[[Params, HeadInputs], Any]:
    """`action` or `value` of `TrialNetworks`, by the head with parameters `name`."""
    return lambda params, inputs: at_each_step(
        partial(head.apply, params[name]), *inputs
    )


def trial_memory(
    env: Environment,
    make_model: Callable[[int], SequenceModel],
    conditioning: HeadConditioning = MemoryAlone(),
    segment_length: int | None = None,
) -> SequenceModel:
    """The sequence model that reads trials of an environment, as `trial_networks` says.

    Args:
      env: the environment.
      make_model: from the number of inputs.
      conditioning: with `Tabular`, a model for each pair of a state and an action.
      segment_length: of that; `make_model` knows it otherwise.

    Returns:
      A `SequenceModel` with `num_inputs(env)` inputs.

    Raises:
      ValueError: if there should be one for each pair, and they cannot be counted.
    """
    if not isinstance(conditioning, Tabular):
        return make_model(num_inputs(env))
    require(
        isinstance(env.action_space, spaces.Discrete),
        "Tabular takes discrete actions: set conditioning to another kind",
    )
    return tabular_memory(
        num_states(env), env.action_space.n, make_model, segment_length
    )


def trial_networks(
    env: Environment,
    model: SequenceModel,
    length: int,
    head: NetworkConfig = LINEAR,
    conditioning: HeadConditioning = MemoryAlone(),
) -> TrialNetworks:
    """A policy and a value function that remember a trial.

    The input of each step is the observation, the action before it and its reward,
    whether an episode has just started (all as in Duan et al.), and besides the
    observation before, so that a transition is in one input (but for the last of a
    row, after which the input holds the first observation of the next one), and the
    fraction of the trial that has elapsed: what is still worth exploring depends on
    what is left.

    Args:
      env: the environment.
      model: of `trial_memory`, with this conditioning.
      length: steps of a trial, (K+1) * T.
      head: network of policy and of value.
      conditioning: how the memory, as an embedding, enters the heads, which read the
        observation; or that they read the memory alone, as they do with `Tabular`.

    Returns:
      The corresponding `TrialNetworks`, whose heads are given `HeadInputs`.

    References:
      Duan et al., RL^2: Fast Reinforcement Learning via Slow Reinforcement Learning
      (2016), section 2.2, https://arxiv.org/abs/1611.02779
    """
    action_head, value_head = _heads(env, model.num_features, head, conditioning)
    as_input_of = partial(as_input, length=length)

    def act(params: Params, observation: Array, memory: Recollection):
        inputs = as_input_of(observation, memory)
        features, sequence = model.step(params["memory"], inputs, memory.sequence)
        vector = observation.reshape(-1).astype(float)
        distribution = action_head.apply(params["action"], features, vector)
        return distribution, memory._replace(observation=vector, sequence=sequence)

    def life(params: Params, trial: Rollout) -> HeadInputs:
        observation, recollection = recall(env, trial)
        inputs = jax.vmap(as_input_of)(observation, recollection)
        features, _ = model.unroll(params["memory"], inputs, model.initial_memory)
        return HeadInputs(features, observation)

    def head_inputs(params: Params, trial: Rollout) -> HeadInputs:
        lives = jax.vmap(partial(life, params), in_axes=2, out_axes=1)(trial)
        by_step = lambda leaf: leaf.reshape(*trial.reward.shape, -1)
        return jax.tree.map(by_step, lives)

    return TrialNetworks(
        policy=Policy(
            init=_with_memory(model, "action", action_head.init),
            apply=act,
            initial_memory=blank(env, model.initial_memory),
            remember=partial(remember, env.action_space),
        ),
        init_value=_with_memory(model, "value", value_head.init),
        features=head_inputs,
        action=at_steps("action", action_head),
        value=at_steps("value", value_head),
    )


def _heads(
    env: Environment, size: int, head: NetworkConfig, conditioning: HeadConditioning
) -> tuple[ConditionedNetwork, ConditionedNetwork]:
    """Policy and value of features [H] and an observation; `size`: H."""
    if isinstance(conditioning, MemoryAlone):
        space = spaces.Box(-jnp.inf, jnp.inf, (size,))
        action = policy_network(space, env.action_space, head)
        return _of_features_alone(action), _of_features_alone(
            value_network(space, head)
        )
    if isinstance(conditioning, Tabular):
        action, value = action_heads(env.action_space.n, size, head)
        return _of_features_alone(action), _of_features_alone(value)
    how = head, conditioning, size
    return (
        conditioned_policy(env.observation_space, env.action_space, *how),
        conditioned_value(env.observation_space, *how),
    )


def _of_features_alone(network: Network) -> ConditionedNetwork:
    return ConditionedNetwork(
        network.init,
        lambda params, features, observation: network.apply(params, features),
        lambda params, features, observation: network.activations(params, features),
    )


def _with_memory(
    model: SequenceModel, name: str, init_head: Callable[[Key], Params]
) -> Callable[[Key], Params]:
    def init(key: Key) -> Params:
        memory_key, head_key = jax.random.split(key)
        return {"memory": model.init(memory_key), name: init_head(head_key)}

    return init
