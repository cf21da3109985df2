"""A bounded memory of what was lived through, on the device."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from metarl_jax.types import Array, Key


class TrialBuffer(NamedTuple):
    """The newest C entries; older ones are overwritten."""

    entries: Any  # a pytree, leaves [C, ...]
    num_added: Array  # []; of all entries, overwritten ones too


def empty(example: Any, capacity: int) -> TrialBuffer:
    """A buffer for `capacity` entries like `example`, arrays or their shapes."""
    blank = lambda leaf: jnp.zeros((capacity, *leaf.shape), leaf.dtype)
    return TrialBuffer(jax.tree.map(blank, example), jnp.int32(0))


def add(buffer: TrialBuffer, entries: Any) -> TrialBuffer:
    """Stores entries [M, ...]; of more than C entries the last C."""
    capacity = jax.tree.leaves(buffer.entries)[0].shape[0]
    kept = jax.tree.map(lambda leaf: leaf[-capacity:], entries)
    number = jax.tree.leaves(kept)[0].shape[0]
    places = (buffer.num_added + jnp.arange(number)) % capacity
    write = lambda stored, new: stored.at[places].set(new)
    return TrialBuffer(
        jax.tree.map(write, buffer.entries, kept), buffer.num_added + number
    )


def sample(key: Key, buffer: TrialBuffer, number: int) -> Any:
    """Draws `number` of the stored entries, with replacement: leaves [number, ...]."""
    capacity = jax.tree.leaves(buffer.entries)[0].shape[0]
    filled = jnp.minimum(buffer.num_added, capacity)
    places = jax.random.randint(key, (number,), 0, filled)
    return jax.tree.map(lambda leaf: leaf[places], buffer.entries)
