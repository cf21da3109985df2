"""Credit of the data before adaptation."""

import jax.numpy as jnp

from metarl_jax.types import Array


def exploration_credit(log_ratio: Array, advantage: Array) -> Array:
    """Minus the log-probability of all actions [K, T, E], times a constant."""
    return -advantage * jnp.sum(log_ratio)
