import errno
import json
import os
import pickle
import pickletools
import shutil
import subprocess
import sys
import textwrap
import time
from collections import namedtuple
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from metarl_jax import checkpoints
from metarl_jax.checkpoints import Checkpoints

ROOT = Path(__file__).parents[1]


class RunState(NamedTuple):
    train_state: Any
    key: Any
    iteration: Any


Empty = namedtuple("Empty", ())


def new_state(num_seeds=2, width=3):
    """A state like that of a run: parameters, optax states and keys, over seeds."""
    optimizer = optax.chain(
        optax.clip_by_global_norm(0.5), optax.adam(1e-3), optax.trace(0.9)
    )

    def init(key):
        params = {"body": {"kernel": jax.random.normal(key, (2, width))}, "none": None}
        return RunState(
            (params, optimizer.init(params), Empty()), key, jnp.zeros((), int)
        )

    return jax.vmap(init)(jax.random.split(jax.random.key(0), num_seeds))


def assert_bit_equal(state, expected):
    assert jax.tree.structure(state) == jax.tree.structure(expected)
    for leaf, other in zip(
        jax.tree.leaves(state), jax.tree.leaves(expected), strict=True
    ):
        assert type(leaf) is type(other)
        if isinstance(leaf, jax.Array):
            assert leaf.dtype == other.dtype
            if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
                leaf, other = jax.random.key_data(leaf), jax.random.key_data(other)
        leaf, other = np.asarray(leaf), np.asarray(other)
        assert (leaf.dtype, leaf.shape) == (other.dtype, other.shape)
        assert leaf.tobytes() == other.tobytes()


def run_python(code, *arguments, **options):
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, text=True, **options)


def check_python(code, *arguments):
    process = run_python(code, *arguments, stdout=-1, stderr=subprocess.STDOUT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    return output


def test_state_of_a_run_comes_back_bit_equal(tmp_path):
    state = new_state()
    Checkpoints(tmp_path).save(5, state)
    restored = Checkpoints(tmp_path).restore(jax.tree.map(jnp.zeros_like, state))
    assert_bit_equal(restored, state)


def test_an_abstract_state_is_example_enough(tmp_path):
    state = new_state()
    Checkpoints(tmp_path).save(5, state)
    assert_bit_equal(Checkpoints(tmp_path).restore(jax.eval_shape(new_state)), state)


def test_every_kind_of_leaf_comes_back_bit_equal(tmp_path):
    state = {
        "float64": np.array([1 / 3, np.nan, -0.0, np.inf]),
        "float32": jnp.array([1 / 3, 1e-45, -0.0]),
        "bfloat16": jnp.ones((2, 2), jnp.bfloat16) / 3,
        "int64": np.array(2**62 + 1),
        "uint8": jnp.arange(3, dtype=jnp.uint8),
        "bool": jnp.array([True, False]),
        "no entries": jnp.zeros((0, 3)),
        "numpy scalar": np.float64(0.1),
        "python": [3, 0.1, True, 2**60],
        "rbg": jax.random.key(7, impl="rbg"),
        "keys": jax.random.split(jax.random.key(1), (2, 3)),
        "a.b": {"c/d": jnp.ones(1)},
        "a": {"b": {"c": {"d": jnp.zeros(1)}}},
    }
    saved = Checkpoints(tmp_path)
    saved.save(0, state)
    assert_bit_equal(saved.restore(state), state)


def test_float64_of_jax_comes_back_bit_equal(tmp_path):
    with jax.enable_x64(True):
        state = {"x": jnp.array([1 / 3]), "n": jnp.array(2**40)}
        Checkpoints(tmp_path).save(0, state)
        restored = Checkpoints(tmp_path).restore(state)
        assert restored["x"].dtype == jnp.float64
        assert_bit_equal(restored, state)


def test_restored_arrays_survive_donation_of_their_twins(tmp_path):
    saved = Checkpoints(tmp_path)
    saved.save(0, {"x": jnp.arange(100.0)})
    first, second = saved.restore({"x": jnp.zeros(100)}), None
    step = jax.jit(lambda state: {"x": state["x"] + 1}, donate_argnums=0)
    step(first)
    second = saved.restore({"x": jnp.zeros(100)})
    np.testing.assert_array_equal(second["x"], np.arange(100.0))


def test_the_newest_are_kept(tmp_path):
    saved = Checkpoints(tmp_path, keep=2)
    assert saved.latest() is None
    for iteration in (1, 9, 10, 100):
        saved.save(iteration, {"x": jnp.full(2, iteration)})
    assert saved.iterations() == [10, 100]
    assert sorted(os.listdir(tmp_path)) == ["10", "100"]
    assert saved.latest() == 100
    np.testing.assert_array_equal(saved.restore({"x": jnp.zeros(2, int)}, 10)["x"], 10)


def test_saving_an_iteration_again_replaces_it(tmp_path):
    saved = Checkpoints(tmp_path)
    for value in (1.0, 2.0):
        saved.save(3, {"x": jnp.full(2, value)})
    np.testing.assert_array_equal(saved.restore({"x": jnp.zeros(2)})["x"], 2.0)


def test_nothing_is_pickled(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("pickled")

    for name in ("dump", "dumps", "load", "loads", "Pickler", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    state = new_state()
    Checkpoints(tmp_path).save(0, state)
    assert_bit_equal(Checkpoints(tmp_path).restore(state), state)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    for path in files:
        with pytest.raises(ValueError):
            list(pickletools.genops(path.read_bytes()))


def test_no_checkpoint_is_one_clear_line(tmp_path):
    missing = tmp_path / "missing"
    for directory in (tmp_path, missing):
        with pytest.raises(
            FileNotFoundError, match="no checkpoint in .*start"
        ) as error:
            Checkpoints(directory).restore(new_state())
        assert str(directory) in str(error.value)
        assert "\n" not in str(error.value)
    assert not missing.exists()


def test_missing_iteration_names_the_others(tmp_path):
    saved = Checkpoints(tmp_path)
    for iteration in (2, 4):
        saved.save(iteration, {"x": jnp.ones(1)})
    with pytest.raises(
        FileNotFoundError, match="iteration 3 in .*: choose one of 2, 4"
    ):
        saved.restore({"x": jnp.ones(1)}, 3)


@pytest.mark.parametrize(
    "example, message",
    [
        ({"x": jnp.ones(3)}, r"\['x'\] is float32\[2\], expected float32\[3\]"),
        ({"x": jnp.ones(2, int)}, r"\['x'\] is float32\[2\], expected int32\[2\]"),
        ({"y": jnp.ones(2)}, r"\['y'\] is absent, expected float32\[2\]; \['x'\]"),
        ({}, r"\['x'\] is float32\[2\], expected absent"),
        ({"x": jax.random.key(0)}, r"expected key<fry>\[\]"),
    ],
)
def test_another_structure_is_one_clear_line(tmp_path, example, message):
    saved = Checkpoints(tmp_path)
    saved.save(1, {"x": jnp.ones(2)})
    with pytest.raises(ValueError, match=message) as error:
        saved.restore(example)
    assert "\n" not in str(error.value)


def test_many_differences_are_counted(tmp_path):
    saved = Checkpoints(tmp_path)
    saved.save(1, [jnp.ones(1)])
    with pytest.raises(ValueError, match="and 7 more"):
        saved.restore([jnp.ones(2)] * 10)


def test_damaged_checkpoint_is_one_clear_line(tmp_path):
    saved = Checkpoints(tmp_path)
    saved.save(1, {"x": jnp.ones(2)})
    saved.save(2, {"x": jnp.ones(2)})
    shutil.rmtree(tmp_path / "2" / "state")
    with pytest.raises(ValueError, match="cannot read the checkpoint .*remove it"):
        saved.restore({"x": jnp.ones(2)})
    saved.restore({"x": jnp.ones(2)}, 1)
    (tmp_path / "2" / "_CHECKPOINT_METADATA").write_text("")
    with pytest.raises(ValueError, match="cannot read the checkpoint .*remove it"):
        saved.config()


def test_what_is_no_array_is_refused(tmp_path):
    with pytest.raises(TypeError, match=r"cannot save \['name'\]: str is no array"):
        Checkpoints(tmp_path).save(0, {"name": "point"})
    assert Checkpoints(tmp_path).latest() is None


def test_keep_must_be_positive(tmp_path):
    with pytest.raises(ValueError, match="keep must be at least 1, got 0"):
        Checkpoints(tmp_path, keep=0)


def test_leftovers_are_ignored_and_removed_by_the_next_save(tmp_path):
    leftover = tmp_path / "abc.partial"
    (leftover / "new").mkdir(parents=True)
    saved = Checkpoints(tmp_path)
    assert saved.latest() is None
    assert leftover.exists()
    saved.save(1, {"x": jnp.ones(1)})
    assert os.listdir(tmp_path) == ["1"]


def test_full_disk_leaves_the_earlier_checkpoints(tmp_path, monkeypatch):
    saved = Checkpoints(tmp_path, keep=1)
    saved.save(1, new_state())
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints.shutil, "disk_usage", lambda _: usage)
        with pytest.raises(OSError, match="cannot write .*2: No space left") as error:
            saved.save(2, new_state())
    assert error.value.errno == errno.ENOSPC
    assert "\n" not in str(error.value)
    assert os.listdir(tmp_path) == ["1"]
    assert_bit_equal(saved.restore(new_state()), new_state())


def test_failing_writes_leave_the_earlier_checkpoints(tmp_path):
    """A limit on the size of files fails inside of orbax, as a full disk may."""
    code = """
        import os, resource, sys
        import numpy as np
        from metarl_jax.checkpoints import Checkpoints
        saved = Checkpoints(sys.argv[1])
        saved.save(1, {"x": np.arange(4)})
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        try:
            saved.save(2, {"x": np.random.normal(size=100_000)})
        except OSError as error:
            print(error)
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert os.listdir(sys.argv[1]) == ["1"]
        assert np.array_equal(saved.restore({"x": np.arange(4)})["x"], np.arange(4))
        saved.save(3, {"x": np.arange(4)})
        assert saved.iterations() == [1, 3]
    """
    output = check_python(code, tmp_path)
    assert "2: File too large; what was written before is intact" in output


def test_orbax_is_quiet_and_imported_only_when_needed(tmp_path):
    code = """
        import sys
        from metarl_jax.checkpoints import Checkpoints
        saved = Checkpoints(sys.argv[1])
        assert saved.latest() is None
        assert not any(name.startswith("orbax") for name in sys.modules)
        saved.save(1, {"x": 1.0})
        saved.restore({"x": 1.0})
    """
    assert check_python(code, tmp_path) == ""


TWO_DEVICES = """
    import sys
    import jax, jax.numpy as jnp, numpy as np
    from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
    from metarl_jax.checkpoints import Checkpoints
    jax.config.update("jax_num_cpu_devices", 2)
    mesh = jax.make_mesh((2,), ("tasks",), axis_types=(AxisType.Auto,))
    everywhere = NamedSharding(mesh, P())
    state = {"w": jnp.arange(3.0), "key": jax.random.key(5)}
    state = jax.device_put(state, everywhere)

    @jax.jit
    def step(state, batch):
        local = lambda w, batch: jax.lax.psum((w * batch).sum(0), "tasks")
        sharded = jax.shard_map(
            local, mesh=mesh, in_specs=(P(), P("tasks")), out_specs=P(), check_vma=False
        )
        noise = jax.random.normal(state["key"], (3,))
        return {**state, "w": sharded(state["w"], batch) + noise}

    batch = jnp.ones((4, 3))
    saved = Checkpoints(sys.argv[1])
    saved.save(1, state)
    restored = saved.restore(state)
    assert not restored["w"].committed
    after, expected = step(restored, batch), step(state, batch)
    assert len(expected["w"].sharding.device_set) == 2
    assert np.array_equal(after["w"], expected["w"])
    saved.save(2, expected)
    np.save(sys.argv[2], expected["w"])
"""


def test_state_of_two_devices_loads_on_two_and_on_one(tmp_path):
    check_python(TWO_DEVICES, tmp_path / "saved", tmp_path / "w.npy")
    code = """
        import sys
        import jax, jax.numpy as jnp, numpy as np
        from metarl_jax.checkpoints import Checkpoints
        jax.config.update("jax_num_cpu_devices", 1)
        assert jax.device_count() == 1
        example = {"w": jnp.zeros(3), "key": jax.random.key(0)}
        state = jax.jit(lambda state: state)(Checkpoints(sys.argv[1]).restore(example))
        assert np.array_equal(state["w"], np.load(sys.argv[2]))
        assert jax.random.key_data(state["key"])[1] == 5
    """
    check_python(code, tmp_path / "saved", tmp_path / "w.npy")


SAVE_LOOP = """
    import sys
    import numpy as np
    from metarl_jax.checkpoints import Checkpoints
    saved = Checkpoints(sys.argv[1], keep=2)
    example = {"x": np.zeros(50_000), "n": 0}
    state = saved.restore(example) if saved.latest() is not None else example
    print("ready", flush=True)
    while True:
        n = state["n"] + 1
        noise = np.random.default_rng(n).normal(size=50_000)
        state = {"x": state["x"] + noise, "n": n}
        saved.save(n, state)
"""


def expected_after(n):
    state = np.zeros(50_000)
    for i in range(1, n + 1):
        state = state + np.random.default_rng(i).normal(size=50_000)
    return state


def test_a_run_killed_in_the_middle_of_saves_goes_on_bit_equal(tmp_path):
    """Kills at several delays after a save has begun; each start resumes."""
    reached = 0
    for delay in (0.0, 0.02, 0.05, 0.1):
        process = run_python(SAVE_LOOP, tmp_path, stdout=subprocess.PIPE)
        assert process.stdout.readline() == "ready\n"
        saved = Checkpoints(tmp_path)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            begun = any(tmp_path.glob("*.partial"))
            if begun and (saved.latest() or 0) > reached:
                break
        time.sleep(delay)
        process.kill()
        process.communicate()
        assert saved.latest() > reached
        for n in saved.iterations():
            state = saved.restore({"x": np.zeros(50_000), "n": 0}, n)
            assert state["n"] == n
            assert state["x"].tobytes() == expected_after(n).tobytes()
        reached = saved.latest()


@pytest.mark.parametrize("call", ["replace", "fsync", "rmtree"])
def test_a_kill_at_each_step_of_a_save_leaves_a_good_checkpoint(tmp_path, call):
    code = """
        import os, shutil, signal, sys
        import numpy as np
        from metarl_jax.checkpoints import Checkpoints
        saved = Checkpoints(sys.argv[1], keep=1)
        saved.save(1, {"x": np.full(9, 1)})
        module = shutil if sys.argv[2] == "rmtree" else os
        die = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
        setattr(module, sys.argv[2], die)
        saved.save(2, {"x": np.full(9, 2)})
    """
    assert run_python(code, tmp_path, call).wait(timeout=120) == -9
    saved = Checkpoints(tmp_path, keep=1)
    latest = saved.latest()
    assert latest == (2 if call == "rmtree" else 1)
    np.testing.assert_array_equal(saved.restore({"x": np.zeros(9, int)})["x"], latest)
    saved.save(3, {"x": np.full(9, 3)})
    assert os.listdir(tmp_path) == ["3"]


def test_a_checkpoint_says_in_json_what_it_holds(tmp_path):
    config = {"algorithm": {"num_episodes": 20, "first_order": False}}
    saved = Checkpoints(tmp_path)
    saved.save(4, {"x": jnp.ones((2, 3))}, config)
    assert saved.config() == config
    metadata = json.loads((tmp_path / "4" / "_CHECKPOINT_METADATA").read_text())
    leaves = metadata["custom_metadata"]["leaves"]
    assert leaves == {"['x']": {"shape": [2, 3], "dtype": "float32"}}
