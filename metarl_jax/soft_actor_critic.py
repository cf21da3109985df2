"""Soft actor-critic for a policy and critics that are told a task embedding."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from gymnax.environments import spaces

from metarl_jax.checks import require
from metarl_jax.conditioning import (
    Conditioning,
    conditioned_policy,
    conditioned_value,
    context_policy,
)
from metarl_jax.distributions import TanhGaussian
from metarl_jax.networks import NetworkConfig
from metarl_jax.types import Array, Environment, Key, Metrics, Params, Policy


class Transition(NamedTuple):
    """One step, as critics learn from it."""

    observation: Array  # [O]
    action: Array  # [A]
    reward: Array  # []
    terminated: Array  # []; True: nothing comes after it
    next_observation: Array  # [O]


class ActorCritic(NamedTuple):
    """A squashed Gaussian policy and two critics, functions of one observation."""

    # of parameters {"shared": params, "context": embedding [Z]}
    policy: Policy
    init_critics: Callable[[Key], Params]
    # (critics, observation, action, embedding) -> the value of each critic, [2]
    values: Callable[[Params, Array, Array, Array], Array]


class SacParams(NamedTuple):
    """What soft actor-critic learns."""

    policy: Params  # but for the embedding
    critics: Params
    log_temperature: Array  # []; log alpha


class SacLosses(NamedTuple):
    """Each has a gradient with respect to its own part of the parameters alone."""

    critic: Array  # []; and with respect to the embedding
    policy: Array  # []
    temperature: Array  # []

    @property
    def total(self) -> Array:
        """A scalar whose gradient is that of each part."""
        return self.critic + self.policy + self.temperature


class SacConstants(NamedTuple):
    """Numbers of the losses."""

    discount: float  # gamma
    reward_scale: float
    target_entropy: float  # of the policy, in nats


def actor_critic(
    env: Environment,
    embedding_size: int,
    conditioning: Conditioning,
    policy: NetworkConfig,
    critic: NetworkConfig,
) -> ActorCritic:
    """Networks that are told an embedding beside what they usually read.

    Args:
      env: the environment; its actions are a `Box` from -1 to 1.
      embedding_size: Z.
      conditioning: how the embedding enters the networks.
      policy: the policy's network.
      critic: the network of each of the two critics.

    Raises:
      ValueError: if the actions are others.
    """
    check_actions(env.action_space)
    spaces_of_env = env.observation_space, env.action_space
    actor = conditioned_policy(*spaces_of_env, policy, conditioning, embedding_size)
    num_inputs = sum(math.prod(space.shape) for space in spaces_of_env)
    inputs = spaces.Box(-jnp.inf, jnp.inf, (num_inputs,))
    value = conditioned_value(inputs, critic, conditioning, embedding_size)

    def values(critics, observation: Array, action: Array, embedding: Array) -> Array:
        joined = jnp.concatenate([observation.reshape(-1), action])
        return jnp.stack([value.apply(each, embedding, joined) for each in critics])

    return ActorCritic(
        context_policy(actor, embedding_size),
        lambda key: tuple(map(value.init, jax.random.split(key))),
        values,
    )


def check_actions(space: Any) -> None:
    """Raises ValueError if actions are not vectors between -1 and 1."""
    fits = isinstance(space, spaces.Box) and len(space.shape) == 1
    fits = fits and np.all(space.low == -1) and np.all(space.high == 1)
    require(
        fits,
        "soft actor-critic acts in vectors from -1 to 1: choose an environment with "
        f"such actions, not {space}",
    )


def sac_losses(
    key: Key,
    networks: ActorCritic,
    params: SacParams,
    target_critics: Params,
    batch: Transition,
    embedding: Array,
    constants: SacConstants,
) -> tuple[SacLosses, Metrics]:
    """The losses of critics, policy and temperature on transitions of one task.

    The gradient with respect to the embedding is that of the critics' loss: what is to
    be known of a task is what its values depend on.

    Args:
      key: of the actions that are drawn.
      networks: policy and critics.
      params: theirs.
      target_critics: parameters that follow those of the critics slowly.
      batch: leaves [B, ...].
      embedding: of the task, [Z].
      constants: of the losses.

    Returns:
      `(losses, metrics)`, means over the batch.

    References:
      Haarnoja et al., Soft Actor-Critic Algorithms and Applications (2018); their loss
      of the temperature is linear in alpha, here in log alpha,
      https://arxiv.org/abs/1812.05905
      Rakelly et al., Efficient Off-Policy Meta-Reinforcement Learning via
      Probabilistic Context Variables (2019), which losses tell the encoder what to
      learn, https://arxiv.org/abs/1903.08254
    """
    target_key, policy_key = jax.random.split(key)
    told = jax.lax.stop_gradient(embedding)  # the policy does not shape embeddings
    targets = soft_targets(
        target_key, networks, params, target_critics, batch, told, constants
    )
    of_batch = partial(_values, networks, observation=batch.observation)
    values = of_batch(params.critics, action=batch.action, embedding=embedding)
    actions, log_prob = _act(policy_key, networks, params, batch.observation, told)
    fixed = jax.lax.stop_gradient(params.critics)  # only actions are to change
    best = of_batch(fixed, action=actions, embedding=told)
    temperature = jnp.exp(jax.lax.stop_gradient(params.log_temperature))
    policy_loss = jnp.mean(temperature * log_prob - jnp.min(best, axis=-1))
    entropy = -jnp.mean(jax.lax.stop_gradient(log_prob))  # the policy has its own loss
    losses = SacLosses(
        critic=jnp.mean(jnp.sum((values - targets[:, None]) ** 2, axis=-1)),
        policy=policy_loss,
        temperature=params.log_temperature * (entropy - constants.target_entropy),
    )
    metrics = {"critic_loss": losses.critic, "policy_loss": policy_loss}
    metrics |= {"entropy": entropy, "temperature": temperature}
    return losses, metrics | {"value": jnp.mean(values)}


def soft_targets(
    key: Key,
    networks: ActorCritic,
    params: SacParams,
    target_critics: Params,
    batch: Transition,
    embedding: Array,
    constants: SacConstants,
) -> Array:
    """What critics should say of each transition: [B], without a gradient.

    Reward plus the discounted soft value of what follows. An episode that the horizon
    ended would have gone on; one that terminated is worth nothing more.
    """
    observation = batch.next_observation
    actions, log_prob = _act(key, networks, params, observation, embedding)
    values = _values(networks, target_critics, observation, actions, embedding)
    soft_value = jnp.min(values, axis=-1) - jnp.exp(params.log_temperature) * log_prob
    following = jnp.where(batch.terminated, 0.0, constants.discount * soft_value)
    # a target is data: critics move towards it, and it does not move towards them
    return jax.lax.stop_gradient(constants.reward_scale * batch.reward + following)


def _act(
    key: Key, networks: ActorCritic, params: SacParams, observation: Array, embedding
) -> tuple[Array, Array]:
    """Actions [B, A] at observations [B, O], and their log-probabilities [B]."""
    told = {"shared": params.policy, "context": embedding}
    distribution_at = lambda observation: networks.policy.apply(told, observation, ())
    distributions: TanhGaussian = jax.vmap(distribution_at)(observation)[0]
    return distributions.sample_and_log_prob(key)


def _values(
    networks: ActorCritic, critics: Params, observation, action, embedding: Array
) -> Array:
    """The values of both critics at [B] observations and actions: [B, 2]."""
    at_each = jax.vmap(networks.values, in_axes=(None, 0, 0, None))
    return at_each(critics, observation, action, embedding)
