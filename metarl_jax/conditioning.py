"""Networks that take a task embedding beside their input."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from gymnax.environments import spaces

from metarl_jax.checks import require, require_positive
from metarl_jax.networks import (
    Network,
    NetworkConfig,
    policy_network,
    value_network,
)
from metarl_jax.types import Array, Key, Params, Policy


@dataclasses.dataclass(frozen=True)
class Concatenation:
    """The embedding is a further input."""


@dataclasses.dataclass(frozen=True)
class Film:
    """Linear outputs of hidden layers are scaled and shifted, as the embedding says.

    References:
      Perez et al., FiLM: Visual Reasoning with a General Conditioning Layer (2018),
      https://arxiv.org/abs/1709.07871
    """

    initial_spread: float = 0.1  # of scales and shifts, at an embedding of length 1

    def __post_init__(self):
        require_positive(self, "initial_spread")


@dataclasses.dataclass(frozen=True)
class Hypernetwork:
    """All weights of the network are linear in the embedding.

    At embedding zero they are a plain network's, which is where Beck et al. start for
    all embeddings; here others start on the way to other plain networks, so that the
    embedding has a gradient from the first step on.

    References:
      Beck et al., Hypernetworks in Meta-Reinforcement Learning (2022), "bias
      hyper-initialisation", https://arxiv.org/abs/2210.11348
      Beck et al., Recurrent Hypernetworks are Surprisingly Strong in Meta-RL (2023),
      https://arxiv.org/abs/2309.14970
    """

    # share of the way to another plain network at an embedding of length 1
    initial_spread: float = 0.1

    def __post_init__(self):
        require_positive(self, "initial_spread")


Conditioning = Concatenation | Film | Hypernetwork


class ConditionedNetwork(NamedTuple):
    """A function of one embedding and one input."""

    init: Callable[[Key], Params]
    apply: Callable[[Params, Array, Array], Any]  # (params, embedding [Z], inputs)
    # (params, embedding [Z], inputs) -> layer name -> its output, as in `Policy`
    activations: Callable[[Params, Array, Array], dict[str, Array]]


def conditioned_policy(
    observation_space: Any,
    action_space: Any,
    config: NetworkConfig,
    conditioning: Conditioning,
    embedding_size: int,
) -> ConditionedNetwork:
    """The network of `mlp_policy`, conditioned on an embedding.

    Args:
      observation_space: a gymnax `Box`; observations are flattened.
      action_space: a gymnax `Discrete`, or a `Box` with one axis.
      config: of the network without the embedding.
      conditioning: how the embedding enters it.
      embedding_size: Z.

    Returns:
      A `ConditionedNetwork` that gives a `Distribution`.
    """
    make = lambda space: policy_network(space, action_space, config)
    return _conditioned(make, observation_space, config, conditioning, embedding_size)


def conditioned_value(
    input_space: Any,
    config: NetworkConfig,
    conditioning: Conditioning,
    embedding_size: int,
) -> ConditionedNetwork:
    """A scalar, such as a value or, of an observation with an action, a Q-value."""
    make = lambda space: value_network(space, config)
    return _conditioned(make, input_space, config, conditioning, embedding_size)


def context_policy(network: ConditionedNetwork, embedding_size: int) -> Policy:
    """A policy with the embedding among its parameters, where it can be adapted.

    Args:
      network: of a policy.
      embedding_size: Z.

    Returns:
      A `Policy` whose parameters are `{"shared": params, "context": [Z]}`; the context
      starts at zero.
    """
    zero = jnp.zeros(embedding_size)
    return Policy(
        init=lambda key: {"shared": network.init(key), "context": zero},
        apply=lambda params, observation, memory: (
            network.apply(params["shared"], params["context"], observation),
            memory,
        ),
        activations=lambda params, observation: network.activations(
            params["shared"], params["context"], observation
        ),
    )


def at_each_step(
    network: Callable[[Array, Array], Any], embedding: Array, inputs: Array
) -> Any:
    """Applies a network to all inputs, with few embeddings as cheaply as may be.

    Args:
      network: `(embedding [Z], input [O]) -> outputs`.
      embedding: [..., Z]; its leading axes are the first ones of `inputs`, and what it
        makes of a network is computed once for all other axes.
      inputs: [..., O].

    Returns:
      Outputs with the leading axes of `inputs`.
    """
    for _ in range(inputs.ndim - embedding.ndim):
        network = jax.vmap(network, in_axes=(None, 0))
    for _ in range(embedding.ndim - 1):
        network = jax.vmap(network)
    return network(embedding, inputs)


def _conditioned(
    make: Callable[[Any], Network],
    space: Any,
    config: NetworkConfig,
    conditioning: Conditioning,
    size: int,
) -> ConditionedNetwork:
    """A network that `make` builds for an input space, conditioned on an embedding."""
    require(size > 0, f"embedding_size must be above 0, not {size}")
    if isinstance(conditioning, Concatenation):
        return _concatenation(make, space, size)
    if isinstance(conditioning, Film):
        return _film(make(space), config, conditioning, size)
    return _hypernetwork(make(space), conditioning, size)


def _concatenation(
    make: Callable[[Any], Network], space: Any, size: int
) -> ConditionedNetwork:
    num_inputs = math.prod(space.shape) + size
    network = make(spaces.Box(-jnp.inf, jnp.inf, (num_inputs,)))
    joined = lambda embedding, inputs: jnp.concatenate([inputs.reshape(-1), embedding])
    return ConditionedNetwork(
        network.init,
        lambda params, *given: network.apply(params, joined(*given)),
        lambda params, *given: network.activations(params, joined(*given)),
    )


class _FilmParams(NamedTuple):
    network: Params
    scale: list[Array]  # [Z, linear outputs] for each hidden layer
    shift: list[Array]  # likewise


def _film(
    network: Network, config: NetworkConfig, film: Film, size: int
) -> ConditionedNetwork:
    sizes = config.linear_sizes
    require(bool(sizes), "Film modulates hidden layers: set hidden_sizes")

    def init(key: Key) -> _FilmParams:
        network_key, *keys = jax.random.split(key, 1 + 2 * len(sizes))
        normal = lambda key, units: jax.random.normal(key, (size, units))
        maps = [
            film.initial_spread * normal(key, units)
            for key, units in zip(keys, sizes * 2, strict=True)
        ]
        scale, shift = maps[: len(sizes)], maps[len(sizes) :]
        return _FilmParams(network.init(network_key), scale, shift)

    def modulation(params: _FilmParams, embedding: Array):
        maps = zip(params.scale, params.shift, strict=True)
        return [(embedding @ scale, embedding @ shift) for scale, shift in maps]

    return ConditionedNetwork(
        init,
        lambda params, embedding, inputs: network.apply(
            params.network, inputs, modulation(params, embedding)
        ),
        lambda params, embedding, inputs: network.activations(
            params.network, inputs, modulation(params, embedding)
        ),
    )


class _HypernetworkParams(NamedTuple):
    base: Params  # of the network at embedding zero
    directions: Params  # leaves [Z, ...]: how it changes with the embedding


def _hypernetwork(
    network: Network, hypernetwork: Hypernetwork, size: int
) -> ConditionedNetwork:
    def init(key: Key) -> _HypernetworkParams:
        base_key, others_key = jax.random.split(key)
        base = network.init(base_key)
        others = jax.vmap(network.init)(jax.random.split(others_key, size))
        towards = lambda other, start: hypernetwork.initial_spread * (other - start)
        return _HypernetworkParams(base, jax.tree.map(towards, others, base))

    def generated(params: _HypernetworkParams, embedding: Array) -> Params:
        moved = lambda base, way: base + jnp.tensordot(embedding, way, axes=1)
        return jax.tree.map(moved, *params)

    return ConditionedNetwork(
        init,
        lambda params, embedding, inputs: network.apply(
            generated(params, embedding), inputs
        ),
        lambda params, embedding, inputs: network.activations(
            generated(params, embedding), inputs
        ),
    )
