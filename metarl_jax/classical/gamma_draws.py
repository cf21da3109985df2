"""Draws from gamma, beta and Dirichlet distributions, all of an array at once.

`jax.random` draws one number after the other on a CPU, which takes more than ten
times as long (docs/performance.md).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from metarl_jax.types import Array, Key


class _Search(NamedTuple):
    key: Key
    log_ratio: Array  # log(draw / d), [N]; where rejected, the last proposal
    rejected: Array  # [N]


def log_gamma(key: Key, concentration: Array) -> Array:
    """Logarithms of draws from Gamma(concentration, 1), in its shape.

    A draw of concentration + 1 is found by rejection, 5% of proposals at most, and one
    of the concentration itself is that times U^(1 / concentration). What is rejected is
    drawn anew by itself, an eighth of the array at a time.

    Args:
      key: consumed.
      concentration: above 0, any shape; what is NaN gives NaN.

    References:
      Marsaglia and Tsang, A Simple Method for Generating Gamma Variables (2000)
    """
    boost_key, first_key, search_key = jax.random.split(key, 3)
    d = jnp.ravel(concentration) + 2 / 3

    def propose_again(search: _Search) -> _Search:
        key, proposal_key = jax.random.split(search.key)
        # the fill is out of bounds, where nothing is set
        where = jnp.nonzero(search.rejected, size=d.size // 8 + 1, fill_value=d.size)
        log_ratio, rejected = _propose(proposal_key, d[where])
        return _Search(
            key,
            search.log_ratio.at[where].set(log_ratio),
            search.rejected.at[where].set(rejected),
        )

    first = _Search(search_key, *_propose(first_key, d))
    found = jax.lax.while_loop(lambda s: s.rejected.any(), propose_again, first)
    log_draw = jnp.log(d) + found.log_ratio
    log_boost = -jax.random.exponential(boost_key, d.shape) / jnp.ravel(concentration)
    return (log_draw + log_boost).reshape(jnp.shape(concentration))


def _propose(key: Key, d: Array) -> tuple[Array, Array]:
    """log(draw / d) for each d, and whether it is to be drawn again."""
    normal_key, chance_key = jax.random.split(key)
    x = jax.random.normal(normal_key, d.shape)
    log_chance = -jax.random.exponential(chance_key, d.shape)
    root = jnp.maximum(1 + x / jnp.sqrt(9 * d), 0)
    log_ratio = 3 * jnp.log(root)
    return log_ratio, log_chance >= x**2 / 2 + d * (1 - root**3 + log_ratio)


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
