"""Policies and value functions over whole trials, with a sequence model as memory."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from gymnax.environments import spaces

from metarl_jax.networks import NetworkConfig, at_each, mlp_policy, mlp_value
from metarl_jax.recollections import Recollection, as_input, blank, recall, remember
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
    as_input_of = partial(as_input, length=length)

    def act(params: Params, observation: Array, memory: Recollection):
        inputs = as_input_of(observation, memory)
        features, sequence = model.step(params["memory"], inputs, memory.sequence)
        distribution, _ = action_head.apply(params["action"], features, ())
        vector = observation.reshape(-1).astype(float)
        return distribution, memory._replace(observation=vector, sequence=sequence)

    def life(params: Params, trial: Rollout) -> Array:
        inputs = jax.vmap(as_input_of)(*recall(env, trial))
        return model.unroll(params["memory"], inputs, model.initial_memory)[0]

    def features(params: Params, trial: Rollout) -> Array:
        lives = jax.vmap(partial(life, params), in_axes=2, out_axes=1)(trial)
        return lives.reshape(*trial.reward.shape, -1)

    return TrialNetworks(
        policy=Policy(
            init=_with_memory(model, "action", action_head.init),
            apply=act,
            initial_memory=blank(env, model.initial_memory),
            remember=partial(remember, env.action_space),
        ),
        init_value=_with_memory(model, "value", init_value),
        features=features,
        action=lambda params, features: at_each(
            lambda each: action_head.apply(params["action"], each, ())[0], features
        ),
        value=lambda params, features: at_each(
            lambda each: value(params["value"], each), features
        ),
    )


def _with_memory(
    model: SequenceModel, name: str, init_head: Callable[[Key], Params]
) -> Callable[[Key], Params]:
    def init(key: Key) -> Params:
        memory_key, head_key = jax.random.split(key)
        return {"memory": model.init(memory_key), name: init_head(head_key)}

    return init
