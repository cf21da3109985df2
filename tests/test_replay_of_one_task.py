"""A replay of one task: it returns what was stored, and forgets the oldest first."""

import jax
import jax.numpy as jnp
import numpy as np

from metarl_jax import replay

TASK = jnp.zeros(1, jnp.int32)
ENTRY = {"reward": jnp.zeros(2), "action": jnp.zeros((), jnp.int32)}


def entries(*numbers):
    """An entry of each number, in all of its leaves."""
    number = jnp.array(numbers)
    reward = jnp.stack([number, -number], axis=1).astype(float)
    return {"reward": reward, "action": number.astype(jnp.int32)}


def empty(example, capacity):
    return replay.empty_replay(example, 1, capacity)


def add(buffer, batch):
    return replay.add(buffer, TASK, jax.tree.map(lambda leaf: leaf[None], batch))


def drawn(buffer, number=200):
    """The numbers of entries that were drawn; leaves belong together."""
    batch = replay.sample(jax.random.key(0), buffer, TASK, number)
    batch = jax.tree.map(lambda leaf: leaf[0], batch)
    np.testing.assert_array_equal(batch["reward"][:, 0], batch["action"])
    np.testing.assert_array_equal(batch["reward"][:, 1], -batch["action"])
    assert batch["action"].dtype == jnp.int32
    return set(np.asarray(batch["action"]).tolist())


def test_only_what_was_stored_comes_back_while_there_is_room():
    buffer = add(empty(ENTRY, 5), entries(7, 8))
    assert drawn(buffer) == {7, 8}
    assert drawn(add(buffer, entries(9))) == {7, 8, 9}


def test_the_oldest_are_overwritten():
    buffer = empty(ENTRY, 4)
    for batch in ((1, 2, 3), (4, 5, 6)):
        buffer = add(buffer, entries(*batch))
    assert drawn(buffer) == {3, 4, 5, 6}
    assert buffer.count[0] == 6


def test_of_more_entries_than_there_is_room_the_last_are_kept():
    assert drawn(add(empty(ENTRY, 3), entries(1, 2, 3, 4, 5))) == {3, 4, 5}


def test_a_buffer_takes_no_more_than_its_capacity():
    buffer = empty(jax.eval_shape(lambda: ENTRY), 3)
    shapes = jax.tree.map(jnp.shape, buffer)
    for _ in range(3):
        buffer = add(buffer, entries(1, 2))
    assert jax.tree.map(jnp.shape, buffer) == shapes
