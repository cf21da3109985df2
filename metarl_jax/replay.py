"""Replay: ring buffers, one for each task, which live in the train state.

Flashbax 0.1.3 has ring buffers that a vmap would make per-task ones. These are of our
own: they are short, and add the data of several tasks, some of them the same one, at
once. What is the same for all tasks is kept as that of a single one, number 0.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from metarl_jax.types import Array, Key


class Replay(NamedTuple):
    """The newest entries of each task, such as transitions or lives."""

    entries: Any  # leaves [num_tasks, capacity, ...]
    count: Array  # [num_tasks], int32; how many were ever added

    @property
    def capacity(self) -> int:
        """Of each task."""
        return jax.tree.leaves(self.entries)[0].shape[1]

    @property
    def size(self) -> Array:
        """How many entries each task has stored: [num_tasks]."""
        return jnp.minimum(self.count, self.capacity)


def empty_replay(example: Any, num_tasks: int, capacity: int) -> Replay:
    """A replay without data.

    Args:
      example: one entry; arrays or their shapes.
      num_tasks: how many tasks to keep apart.
      capacity: how many entries to keep of each task.
    """
    empty = lambda leaf: jnp.zeros((num_tasks, capacity, *leaf.shape), leaf.dtype)
    return Replay(jax.tree.map(empty, example), jnp.zeros(num_tasks, jnp.int32))


def add(replay: Replay, task_numbers: Array, entries: Any) -> Replay:
    """Adds the data of several tasks, in order; the oldest of a full task goes first.

    Args:
      replay: to add to.
      task_numbers: [B], int32; the same one may occur several times. -1: a task of a
        test, whose data are dropped.
      entries: leaves [B, L, ...]; of more than the capacity the last are kept.

    Returns:
      The replay with the data.
    """

    def add_one(replay: Replay, entry: tuple[Array, Any]) -> tuple[Replay, None]:
        return _add_to_task(replay, *entry), None

    known = jnp.where(task_numbers >= 0, task_numbers, replay.count.shape[0])
    return jax.lax.scan(add_one, replay, (known, entries))[0]


def sample(key: Key, replay: Replay, task_numbers: Array, batch_size: int) -> Any:
    """Draws entries of each of several tasks, uniformly and with replacement.

    Args:
      key: consumed.
      replay: to draw from; each of the tasks must have data.
      task_numbers: [B], int32.
      batch_size: how many to draw of each task.

    Returns:
      Entries, leaves [B, batch_size, ...].
    """
    sizes = replay.size[task_numbers][:, None]
    shape = (task_numbers.shape[0], batch_size)
    slots = jax.random.randint(key, shape, 0, sizes)
    take = lambda leaf: leaf[task_numbers[:, None], slots]
    return jax.tree.map(take, replay.entries)


def sample_tasks(key: Key, replay: Replay, num_tasks: int) -> Array:
    """Numbers of tasks that have data, uniformly and with replacement: [num_tasks]."""
    has_data = jnp.where(replay.count > 0, 0.0, -jnp.inf)
    return jax.random.categorical(key, has_data, shape=(num_tasks,))


def _add_to_task(replay: Replay, task_number: Array, entries: Any) -> Replay:
    """Adds entries [L, ...] of one task; none where there is no such task."""
    length = jax.tree.leaves(entries)[0].shape[0]
    kept = min(length, replay.capacity)
    start = replay.count[task_number] + length - kept
    slots = (start + jnp.arange(kept)) % replay.capacity
    store = lambda old, new: old.at[task_number, slots].set(
        new[length - kept :], mode="drop"
    )
    return Replay(
        jax.tree.map(store, replay.entries, entries),
        replay.count.at[task_number].add(length, mode="drop"),
    )
