"""What data take: known before anything is allocated."""

import jax
import jax.numpy as jnp
import pytest

from metarl_jax.buffer_memory import check_memory, num_bytes
from metarl_jax.replay import empty_replay


def test_memory_is_what_the_arrays_take():
    example = {"value": jnp.zeros(()), "vector": jnp.zeros(2, jnp.int32)}
    replay = empty_replay(example, 7, 11)
    assert num_bytes(replay) == 4 * (7 * 11 * 3 + 7)
    assert num_bytes(replay) == sum(leaf.nbytes for leaf in jax.tree.leaves(replay))


def test_data_above_the_limit_are_refused_before_they_are_made():
    pixels = lambda number: lambda: jnp.zeros((number, 100, 100))
    check_memory(pixels(200_000), "the number")
    message = r"of each seed take 40\.0 GB, above the limit of 8\.0: lower the number$"
    with pytest.raises(ValueError, match=message):
        check_memory(pixels(1_000_000), "the number")
