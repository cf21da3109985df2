"""Draws from gamma, beta and Dirichlet distributions, all of an array at once.

`jax.random` draws one number after the other on a CPU, which takes five times as long
(docs/performance.md).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from metarl_jax.types import Array, Key


class _Search(NamedTuple):
    key: Key
    log_ratio: Array  # log(draw / d); of what is not yet accepted, the last proposal
    accepted: Array


def log_gamma(key: Key, concentration: Array) -> Array:
    """Logarithms of draws from Gamma(concentration, 1), in its shape.

    A draw of concentration + 1 is found by rejection, 5% of proposals at most, and one
    of the concentration itself is that times U^(1 / concentration).

    Args:
      key: consumed.
      concentration: above 0, any shape; what is NaN gives NaN.

    References:
      Marsaglia and Tsang, A Simple Method for Generating Gamma Variables (2000)
    """
    boost_key, search_key = jax.random.split(key)
    d = concentration + 2 / 3
    width = 1 / jnp.sqrt(9 * d)

    def propose(search: _Search) -> _Search:
        key, normal_key, chance_key = jax.random.split(search.key, 3)
        x = jax.random.normal(normal_key, d.shape)
        log_chance = -jax.random.exponential(chance_key, d.shape)
        root = jnp.maximum(1 + width * x, 0)
        log_ratio = 3 * jnp.log(root)
        rejects = log_chance >= x**2 / 2 + d * (1 - root**3 + log_ratio)
        kept = jnp.where(search.accepted, search.log_ratio, log_ratio)
        return _Search(key, kept, search.accepted | ~rejects)

    nothing = _Search(search_key, jnp.zeros(d.shape), jnp.zeros(d.shape, bool))
    found = jax.lax.while_loop(lambda search: ~search.accepted.all(), propose, nothing)
    log_boost = -jax.random.exponential(boost_key, d.shape) / concentration
    return jnp.log(d) + found.log_ratio + log_boost


def dirichlet(key: Key, concentration: Array) -> Array:
    """Draws from Dirichlet distributions, [..., S].

    Args:
      key: consumed.
      concentration: above 0, [..., S]; one distribution for each row.
    """
    return jax.nn.softmax(log_gamma(key, concentration), axis=-1)


def beta(key: Key, a: Array, b: Array) -> Array:
    """Draws from Beta(a, b), in the shape that `a` and `b` have together."""
    return dirichlet(key, jnp.stack(jnp.broadcast_arrays(a, b), axis=-1))[..., 0]
