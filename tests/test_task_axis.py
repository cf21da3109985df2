import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import probe
import pytest

from metarl_jax import task_axis
from metarl_jax.task_axis import TaskAxis, default_task_axis, largest_divisor

BATCH = {"x": np.linspace(-1, 1, 18, dtype=np.float32).reshape(6, 3)}
BATCH["n"] = np.arange(6, dtype=np.float32)
SHARED = np.array([0.5, -1.0, 2.0], np.float32)
AXES = [TaskAxis(chunk) for chunk in (None, 1, 2, 3, 4, 6, 100)]
each_axis = pytest.mark.parametrize("axis", AXES, ids=str)


def of_one_task(shared, entry):
    assert entry["x"].shape == (3,)  # never sees the batch
    value = jnp.sin(shared * entry["x"]) * (1 + entry["n"])
    return {"vector": value, "scalar": jnp.sum(value**2)}


def loop(shared, batch):
    entries = [jax.tree.map(lambda leaf, i=i: leaf[i], batch) for i in range(6)]
    results = [of_one_task(shared, entry) for entry in entries]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *results)


def assert_close(actual, expected):
    jax.tree.map(partial(np.testing.assert_allclose, rtol=2e-6), actual, expected)


@each_axis
def test_map_equals_a_loop_over_tasks(axis):
    actual = jax.jit(partial(axis.map, of_one_task))(SHARED, BATCH)
    assert_close(actual, loop(SHARED, BATCH))


@each_axis
def test_leaves_without_entries_are_mapped(axis):
    """As in the trust region of a policy that takes no step of adaptation."""
    batch = {"x": np.ones((6, 0, 2), np.float32)}
    result = axis.map(lambda _, entry: 2 * entry["x"], (), batch)
    assert result.shape == (6, 0, 2)


@each_axis
def test_mean_traces_its_function_once(axis):
    traced = []
    fn = lambda _, entry: traced.append(entry) or entry["n"]
    jax.jit(partial(axis.mean, fn))((), BATCH)
    assert len(traced) == 1


@each_axis
def test_mean_equals_the_mean_of_a_loop(axis):
    expected = jax.tree.map(lambda leaf: leaf.mean(0), loop(SHARED, BATCH))
    assert_close(jax.jit(partial(axis.mean, of_one_task))(SHARED, BATCH), expected)


@each_axis
def test_gradient_through_map_and_mean_equals_that_of_a_loop(axis):
    def by_mean(shared):
        return axis.mean(of_one_task, shared, BATCH)["scalar"]

    def by_map(shared):
        return jnp.mean(axis.map(of_one_task, shared, BATCH)["scalar"])

    expected = jax.grad(lambda shared: jnp.mean(loop(shared, BATCH)["scalar"]))(SHARED)
    assert_close(jax.jit(jax.grad(by_mean))(SHARED), expected)
    assert_close(jax.jit(jax.grad(by_map))(SHARED), expected)


@each_axis
def test_vmap_over_seeds_may_stand_around_the_axis(axis):
    of_seed = lambda shared: axis.mean(of_one_task, shared, BATCH)["scalar"]
    seeds = jnp.stack([SHARED, -SHARED, 2 * SHARED])
    values, gradients = jax.jit(jax.vmap(jax.value_and_grad(of_seed)))(seeds)
    expected = lambda shared: jnp.mean(loop(shared, BATCH)["scalar"])
    for shared, value, gradient in zip(seeds, values, gradients, strict=True):
        assert_close((value, gradient), jax.value_and_grad(expected)(shared))


@pytest.mark.parametrize(
    "number, limit, expected", [(40, 16, 10), (7, 3, 1), (6, 100, 6), (1, 1, 1)]
)
def test_largest_divisor_is_within_the_limit(number, limit, expected):
    assert largest_divisor(number, limit) == expected


def test_default_axis_obeys_its_overrides():
    assert default_task_axis(12, chunk_size=3, num_devices=1) == TaskAxis(3, 1)


def test_chunk_on_a_cpu_is_chosen_by_the_tasks_of_a_device(monkeypatch):
    half = lambda num_tasks: num_tasks // 2
    assert default_task_axis(12, num_devices=1) == TaskAxis(1, 1)
    assert default_task_axis(12, num_devices=1, cpu_chunk_size=half) == TaskAxis(6, 1)
    assert default_task_axis(12, 4, 1, cpu_chunk_size=half) == TaskAxis(4, 1)
    monkeypatch.setattr(task_axis, "_by_process", lambda: [2 * jax.devices()[:1]])
    assert default_task_axis(12, num_devices=2, cpu_chunk_size=half) == TaskAxis(3, 2)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert default_task_axis(12, None, 1, cpu_chunk_size=half) == TaskAxis(None, 1)


def test_on_an_accelerator_all_seeds_and_tasks_go_at_once(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    axis = default_task_axis(6, num_devices=1)

    def of_seed(entries):
        square = lambda _, entry: jnp.square(entry)
        return axis.map(square, (), entries), axis.mean(square, (), entries)

    program = jax.make_jaxpr(lambda batch: axis.over_seeds(of_seed, batch))
    text = str(program(np.ones((3, 6, 2), np.float32)))
    lengths = re.findall(r"length=(\d+)", text)
    assert lengths and set(lengths) == {"1"}
    assert "f32[3,6,2]" in text


def test_shards_on_two_devices_equal_a_loop():
    probe.run_with_devices(__file__, 2)


def check_two_devices():
    """Runs in a process of its own, where there are two devices."""
    assert jax.device_count() == 2
    for axis in (TaskAxis(None, 2), TaskAxis(1, 2)):
        test_map_equals_a_loop_over_tasks(axis)
        test_mean_equals_the_mean_of_a_loop(axis)
        test_gradient_through_map_and_mean_equals_that_of_a_loop(axis)
        test_vmap_over_seeds_may_stand_around_the_axis(axis)
    spread = jax.jit(partial(TaskAxis(1, 2).map, of_one_task))(SHARED, BATCH)
    assert len(spread["vector"].sharding.device_set) == 2
    odd = jax.tree.map(lambda leaf: leaf[:5], BATCH)
    assert TaskAxis(1, 2).map(of_one_task, SHARED, odd)["scalar"].shape == (5,)


if __name__ == "__main__":
    check_two_devices()
