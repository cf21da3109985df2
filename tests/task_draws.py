"""Draws from a distribution over tasks, and what they should look like."""

import functools

import jax
import numpy as np


@functools.cache
def drawn(sample, number=4096):
    tasks = jax.jit(jax.vmap(sample))(jax.random.split(jax.random.key(0), number))
    return jax.tree.map(np.asarray, tasks)


def assert_uniform(values, low, high):
    """All within the range, which they fill, with its mean."""
    width = high - low
    assert low <= values.min() < low + 0.01 * width
    assert high - 0.01 * width < values.max() <= high
    np.testing.assert_allclose(values.mean(), (low + high) / 2, atol=0.02 * width)
