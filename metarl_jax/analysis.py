"""What adaptation changed: parameters, representations, and the return around them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from metarl_jax.networks import is_hidden
from metarl_jax.types import Array, Key, Params, Policy


def relative_change(before: Params, after: Params) -> dict[str, Array]:
    """How far each layer moved, relative to its size: |after - before| / |before|.

    Args:
      before: parameters of a policy.
      after: likewise.

    Returns:
      For each layer, and each parameter outside of layers, a scalar; where `before` is
      zero, the distance itself.
    """
    old, new = _by_layer(before), _by_layer(after)
    change = {}
    for name, leaves in old.items():
        size = jnp.linalg.norm(leaves)
        distance = jnp.linalg.norm(new[name] - leaves)
        change[name] = distance / jnp.where(size > 0, size, 1.0)
    return change


def linear_cka(left: Array, right: Array) -> Array:
    """Centred kernel alignment of two representations of the same inputs, in [0, 1].

    1 where one is a rotation and scaling of the other; near 0 where they have nothing
    in common, and 0 where one is constant. Shifts do not count.

    Args:
      left: [inputs, P].
      right: [inputs, Q].

    References:
      Kornblith et al., Similarity of Neural Network Representations Revisited (2019),
      section 3, https://arxiv.org/abs/1905.00414
    """
    left, right = (x - jnp.mean(x, axis=0) for x in (left, right))
    square = lambda matrix: jnp.sum(matrix**2)
    norms = jnp.sqrt(square(left.T @ left) * square(right.T @ right))
    return square(right.T @ left) / jnp.maximum(norms, 1e-30)


def similarity(
    policy: Policy, before: Params, after: Params, observations: Array
) -> dict[str, Array]:
    """Linear CKA of each layer's outputs before and after adaptation.

    Args:
      policy: with `activations`.
      before: its parameters.
      after: its parameters.
      observations: [inputs, ...].
    """
    outputs = lambda params: jax.vmap(lambda o: policy.activations(params, o))(
        observations
    )
    return jax.tree.map(linear_cka, outputs(before), outputs(after))


def policy_change(
    policy: Policy, before: Params, after: Params, observations: Array
) -> tuple[Array, Array, Array]:
    """Modes before and after, [inputs, A] or [inputs], and KL(after || before)."""

    def at(observation: Array):
        old, new = (
            policy.apply(params, observation, policy.initial_memory)[0]
            for params in (before, after)
        )
        return old.mode(), new.mode(), new.kl(old)

    return jax.vmap(at)(observations)


def carried_by(
    policy: Policy, before: Params, after: Params, observations: Array
) -> dict[str, Array]:
    """How much of a policy's change its hidden layers carry, and how much the rest.

    A swap of parameters, since representations can look alike and act differently.

    Args:
      policy: whose parameters they are.
      before: parameters before adaptation.
      after: parameters after it.
      observations: [inputs, ...].

    Returns:
      The mean KL, in nats, from the adapted policy to one with the adapted parameters
      of `nothing`, of `hidden` layers only, and of the `rest` only.
    """

    def distance(is_adapted: Callable[[Any], bool]) -> Array:
        choose = lambda path, old, new: new if is_adapted(path) else old
        mixed = jax.tree_util.tree_map_with_path(choose, before, after)
        return jnp.mean(policy_change(policy, mixed, after, observations)[2])

    return {
        "nothing": distance(lambda path: False),
        "hidden": distance(is_hidden),
        "rest": distance(lambda path: not is_hidden(path)),
    }


def random_direction(key: Key, params: Params) -> Params:
    """A random direction in which every leaf is as long as that of `params`.

    References:
      Li et al., Visualizing the Loss Landscape of Neural Nets (2018), section 4,
      https://arxiv.org/abs/1712.09913 (there by filters, here by leaves)
    """
    flat, unravel = ravel_pytree(params)
    noise = unravel(jax.random.normal(key, flat.shape, flat.dtype))
    norm = lambda leaf: jnp.sqrt(jnp.sum(leaf**2))
    scale = lambda draw, leaf: draw * norm(leaf) / jnp.maximum(norm(draw), 1e-30)
    return jax.tree.map(scale, noise, params)


def landscape(
    key: Key, value: Callable[[Params], Array], params: Params, offsets: Array
) -> Array:
    """`value` on a grid around `params`, along two random directions.

    Args:
      key: of the directions.
      value: parameters -> scalar.
      params: the centre.
      offsets: [G], in lengths of `params`.

    Returns:
      [G, G].
    """
    first, second = (random_direction(k, params) for k in jax.random.split(key))

    def at(i: Array, j: Array) -> Array:
        shifted = lambda leaf, a, b: leaf + i * a + j * b
        return value(jax.tree.map(shifted, params, first, second))

    return jax.lax.map(lambda i: jax.lax.map(lambda j: at(i, j), offsets), offsets)


def _by_layer(params: Params) -> dict[str, Array]:
    """The parameters of each layer as one vector, by the layer's name."""
    groups: dict[str, list[Any]] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        names = [str(getattr(key, "key", key)) for key in path]
        inside = names[-1] in ("weight", "bias")
        groups.setdefault(names[-2 if inside else -1], []).append(leaf.reshape(-1))
    return {name: jnp.concatenate(leaves) for name, leaves in groups.items()}
