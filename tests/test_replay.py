"""The replay: what was stored, of the right task, the newest of it, and no more."""

import jax
import jax.numpy as jnp
import numpy as np

from metarl_jax.replay import add, empty_replay, sample, sample_tasks

EXAMPLE = {"value": jnp.zeros(()), "vector": jnp.zeros(2, jnp.int32)}


def data(*values):
    """Transitions of one task, leaves [1, L, ...], that carry these numbers."""
    value = jnp.asarray(values, float)[None]
    vector = jnp.stack([value, -value], axis=-1).astype(jnp.int32)
    return {"value": value, "vector": vector}


def filled(num_tasks, capacity, *entries):
    """A replay after `(task, values)` were added one after another."""
    replay = empty_replay(EXAMPLE, num_tasks, capacity)
    for task, values in entries:
        replay = add(replay, jnp.array([task]), data(*values))
    return replay


def drawn(replay, task, count=1000):
    return sample(jax.random.key(0), replay, jnp.array([task]), count)


def test_sample_never_returns_what_was_not_stored():
    replay = filled(3, 50, (1, [5.0, 6.0, 7.0]))
    batch = drawn(replay, 1)
    assert set(np.unique(batch["value"])) == {5.0, 6.0, 7.0}
    np.testing.assert_array_equal(batch["vector"][..., 0], batch["value"])
    np.testing.assert_array_equal(batch["vector"][..., 1], -batch["value"])


def test_full_task_forgets_its_oldest_transitions():
    replay = filled(2, 4, (0, [1.0, 2.0, 3.0]), (0, [4.0, 5.0, 6.0]))
    assert set(np.unique(drawn(replay, 0)["value"])) == {3.0, 4.0, 5.0, 6.0}
    assert replay.size.tolist() == [4, 0]
    assert replay.count.tolist() == [6, 0]


def test_of_more_data_than_fits_the_last_is_kept():
    replay = filled(1, 3, (0, [9.0]), (0, [1.0, 2.0, 3.0, 4.0, 5.0]))
    assert set(np.unique(drawn(replay, 0)["value"])) == {3.0, 4.0, 5.0}
    again = add(replay, jnp.array([0]), data(6.0))
    assert set(np.unique(drawn(again, 0)["value"])) == {4.0, 5.0, 6.0}


def test_tasks_are_kept_apart():
    replay = filled(3, 8, (0, [1.0]), (2, [3.0, 4.0]))
    tasks = jnp.array([2, 0, 2])
    batch = sample(jax.random.key(1), replay, tasks, 100)["value"]
    assert [set(np.unique(row)) for row in batch] == [{3.0, 4.0}, {1.0}, {3.0, 4.0}]


def test_data_of_a_task_without_a_number_are_dropped():
    """Those of a test do not go to the last training task."""
    before = filled(3, 4, (2, [1.0]))
    after = add(before, jnp.array([-1]), data(8.0, 9.0))
    jax.tree.map(np.testing.assert_array_equal, before, after)


def test_task_that_occurs_twice_keeps_both_parts_in_order():
    entries = jax.tree.map(
        lambda *parts: jnp.concatenate(parts), data(1.0, 2.0), data(3.0, 4.0)
    )
    replay = add(empty_replay(EXAMPLE, 2, 3), jnp.array([1, 1]), entries)
    assert replay.count.tolist() == [0, 4]
    assert set(np.unique(drawn(replay, 1)["value"])) == {2.0, 3.0, 4.0}


def test_sample_is_uniform_over_what_is_stored():
    replay = filled(2, 100, (1, range(10)))
    values = np.asarray(drawn(replay, 1, 20_000)["value"]).ravel()
    shares = np.bincount(values.astype(int), minlength=10) / values.size
    np.testing.assert_allclose(shares, 0.1, atol=0.01)


def test_tasks_are_drawn_uniformly_among_those_with_data():
    replay = filled(5, 4, (1, [1.0]), (4, [1.0, 2.0, 3.0]))
    numbers = np.asarray(sample_tasks(jax.random.key(0), replay, 10_000))
    shares = np.bincount(numbers, minlength=5) / numbers.size
    np.testing.assert_allclose(shares, [0, 0.5, 0, 0, 0.5], atol=0.02)
