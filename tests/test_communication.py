"""What is sent between devices: counted through loops, and timed by hand."""

import subprocess
import sys
from pathlib import Path

import commands
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import scaling
from metarl_jax.communication import (
    Network,
    Reduction,
    bytes_sent,
    reductions,
    seconds,
)

ROOT = Path(__file__).parents[1]
SUMS = [Reduction(100, 2), Reduction(40, 1)]


def counted(local, *shapes):
    """The all-reduces of a function on one device, called `x` there."""
    mesh = jax.make_mesh((1,), ("x",), (jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec()
    program = jax.shard_map(
        local, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False
    )
    return reductions(jax.jit(program), *map(jnp.zeros, shapes))


def over_devices(x):
    return jax.lax.psum(x, "x")


def test_loop_counts_as_often_as_it_runs():
    inner = lambda x, _: (over_devices(x), None)
    outer = lambda x, _: (jax.lax.scan(inner, x, length=3)[0], None)
    assert counted(lambda x: jax.lax.scan(outer, x, length=5)[0], 7) == [
        Reduction(28, 15)
    ]


def test_search_counts_once():
    search = lambda x: jax.lax.while_loop(lambda x: x[0] < 1, over_devices, x)
    assert counted(search, 7) == [Reduction(28, 1)]


def test_branch_that_sends_more_counts():
    choose = lambda x: jax.lax.cond(x[0] > 0, over_devices, lambda x: x, x)
    assert counted(choose, 7) == [Reduction(28, 1)]


def test_seeds_side_by_side_send_as_much_in_one_message():
    assert counted(jax.vmap(over_devices), (3, 7)) == [Reduction(84, 1)]


def test_each_device_of_a_ring_sends_less_than_twice_the_sum():
    assert bytes_sent(SUMS, 1) == 0
    assert bytes_sent(SUMS, 4) == 2 * 3 / 4 * 240


def test_time_is_bytes_over_bandwidth_and_the_latency_of_a_tree():
    network = Network(bytes_per_second=1000.0, latency=0.5)
    assert seconds(SUMS, 1, network) == 0
    # two levels up and down, for each of three all-reduces
    np.testing.assert_allclose(seconds(SUMS, 4, network), 3 * 4 * 0.5 + 0.36)


def test_scaling_prints_the_speed_on_many_devices():
    command = sys.executable, "-m", "experiments.scaling", "maml_point"
    options = "--devices=1,10,20", "--iteration-seconds=0.016"
    done = subprocess.run(
        [*command, *options], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    table = done.stdout.split("strong steps/s         efficiency\n")[1].splitlines()
    one, ten, twenty = ([float(x) for x in line.split()] for line in table)
    # 10 tasks, 4 rollouts, 20 rows, 100 steps
    np.testing.assert_allclose(one, [1, 0, 0, 5e6, 1, 5e6, 1])
    sending = ten[2]
    np.testing.assert_allclose(ten[3], 10 * 8e4 / (0.016 + sending), rtol=1e-3)
    np.testing.assert_allclose(ten[5], 8e4 / (0.0016 + sending), rtol=1e-3)
    assert len(twenty) == 5  # ten tasks cannot be shared by twenty


@pytest.mark.parametrize(
    "option, said",
    [
        ("--devices=two", "numbers like 1,8,64"),
        ("--latency-us=0", "must be above 0"),
        ("--training.num-tasks=5", "num_tasks must be even, not 5"),
    ],
)
def test_wrong_numbers_get_one_line(option, said, capsys):
    with pytest.raises(SystemExit) as ended:
        commands.call(scaling, "maml_point", option)
    errors = capsys.readouterr().err
    assert ended.value.code == 2 and said in errors
    assert len(errors.strip().splitlines()) == 1
