"""Several processes as one run: the same numbers, and an end that says how to go on."""

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import commands
import jax
import numpy as np
import pytest

from experiments import distributed, run
from metarl_jax import processes, task_axis
from metarl_jax.task_axis import TaskAxis, default_task_axis

ROOT = Path(__file__).parents[1]
SMALL = [
    "--training.num-tasks=4",
    "--training.iterations-per-chunk=1",
    "--training.iterations-per-checkpoint=2",
    "--algorithm.num-adaptation-steps=1",
    "--algorithm.num-episodes=3",
    "--algorithm.network.hidden-sizes=8",
    "--environment-options.horizon=10",
    "--evaluation.num-episodes=3",
    "--evaluation.num-adaptation-steps=1",
    "--oracle-iterations=1",
]
ENDLESS = [
    "--training.num-iterations=1000000",
    "--evaluation.num-adaptation-steps=0",
    "--oracle-iterations=0",
]
SECONDS = 300  # no process may take longer


def start(*options, devices=1, environment=None, stderr=subprocess.PIPE):
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.run", "maml_point", *options],
        cwd=ROOT,
        env=os.environ
        | {"JAX_NUM_CPU_DEVICES": str(devices), "JAX_PLATFORMS": "cpu"}
        | (environment or {}),
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


def free_port():
    with socket.create_server(("", 0)) as server:
        return server.getsockname()[1]


def start_two(*options, second=(), **settings):
    """Two processes of one run; `second` has further options of the second one."""
    meeting = f"--coordinator=localhost:{free_port()}"
    options += "--distributed", meeting, "--num-processes=2"
    return [
        start(*options, "--process-id=0", **settings),
        start(*options, "--process-id=1", *second, **settings),
    ]


def start_two_by_slurm(*options):
    """As `srun --ntasks 2` would start them on this machine."""
    cluster = slurm(free_port())
    return [
        start(
            *options,
            "--distributed",
            environment=cluster | {"SLURM_PROCID": place, "SLURM_LOCALID": place},
        )
        for place in "01"
    ]


def slurm(port):
    return {
        "SLURM_JOB_ID": "1",
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_NTASKS": "2",
        "JAX_COORDINATOR_PORT": str(port),
    }


def finish(processes):
    """(exit code, output, errors) of each."""
    said = [process.communicate(timeout=SECONDS) for process in processes]
    return [(p.returncode, *text) for p, text in zip(processes, said, strict=True)]


def wait_until_saved(folder, iteration, processes):
    deadline = time.monotonic() + SECONDS
    while iterations(folder)[-1] < iteration:
        assert all(p.poll() is None for p in processes), finish(processes)
        assert time.monotonic() < deadline
        time.sleep(0.02)


def iterations(folder):
    names = (path.name for path in (folder / "checkpoints").iterdir())
    return sorted(int(name) for name in names if name.isdecimal())


def rows(folder):
    with (folder / "metrics.csv").open() as file:
        return [
            {name: float(row[name]) for name in row if name != "seconds"}
            for row in csv.DictReader(file)
        ]


def assert_close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=2e-3, atol=1e-5)


def assert_close_rows(actual, expected):
    assert len(actual) == len(expected) > 0
    for left, right in zip(actual, expected, strict=True):
        assert left.keys() == right.keys()
        assert_close(list(left.values()), list(right.values()))


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one process leaves after 8 iterations, saved after each second one."""
    folder = tmp_path_factory.mktemp("runs") / "alone"
    arguments = f"--run-dir={folder}", "--training.num-iterations=8", *SMALL
    commands.call(run, "maml_point", *arguments)
    return folder


@pytest.fixture
def half_way(alone, tmp_path):
    """A copy of that run as it was after 6 iterations."""
    folder = shutil.copytree(alone, tmp_path / "half_way")
    shutil.rmtree(folder / "checkpoints" / "8")
    return folder


def test_two_processes_leave_what_one_leaves(alone, tmp_path):
    from orbax.checkpoint import v1 as ocp

    together = tmp_path / "together"
    options = f"--run-dir={together}", "--training.num-iterations=8", *SMALL
    two = start_two(*options, devices=2, stderr=subprocess.STDOUT)
    (first, out, _), (second, its_out, _) = finish(two)
    assert (first, second) == (0, 0), out + its_out
    assert "95% interval" in out and "maml_point: 100%" in out
    assert "95% interval" not in its_out and "maml_point:" not in its_out
    before, after = out.split("maml_point:   0%")  # the bar, then the first compilation
    assert "connected to 3 peer ranks" in before and "peer ranks" not in after
    assert_close_rows(rows(together), rows(alone))
    left, right = (ocp.load(f / "checkpoints" / "8") for f in (together, alone))
    assert left.keys() == right.keys()
    for name in left:
        assert_close(left[name], right[name])
    left, right = (
        json.loads((f / "returns.json").read_text()) for f in (together, alone)
    )
    assert left.keys() == right.keys()
    for name in left:
        assert_close(left[name], right[name])
    names = lambda folder: {path.name for path in folder.rglob("*.*")}
    assert {"summary.json", "learning_curve.png"} <= names(together)


def test_run_goes_on_in_two_processes_and_after_a_kill_of_either_in_one(
    alone, half_way
):
    resume = f"python -m experiments.run maml_point --resume {half_way}"
    for victim in (1, 0):
        two = start_two(f"--resume={half_way}", *ENDLESS)
        wait_until_saved(half_way, iterations(half_way)[-1] + 4, two)
        two[victim].kill()
        killed = time.monotonic()
        ends = finish(two)
        (killed_code, _, _), (code, _, errors) = ends[victim], ends[1 - victim]
        assert time.monotonic() - killed < 60
        assert (code != 0, killed_code) == (True, -signal.SIGKILL)
        says = errors.strip().splitlines()
        assert "go on from the last checkpoint" in says[-2]
        assert says[-1].strip() == resume

    saved = iterations(half_way)[-1]
    number = f"--training.num-iterations={saved + 2}"
    commands.call(run, *resume.split()[3:], number)
    assert iterations(half_way)[-1] == saved + 2
    assert [row["iteration"] for row in rows(half_way)] == list(range(saved + 2))
    assert_close_rows(rows(half_way)[:8], rows(alone))


def test_interrupt_of_any_process_stops_all_at_the_same_iteration(half_way):
    two = start_two_by_slurm(f"--resume={half_way}", *ENDLESS)
    wait_until_saved(half_way, 10, two)
    two[1].send_signal(signal.SIGINT)
    (first, out, _), (second, silence, _) = finish(two)
    assert (first, second) == (130, 130)
    assert silence == ""
    assert f"stopped after {iterations(half_way)[-1]} iterations" in out
    assert f"--resume {half_way}" in out


MEETING = ["--coordinator=host:1234", "--num-processes=2", "--process-id=1"]


def test_options_of_distributed_are_taken_out_of_the_others():
    others = ["--training.num-seeds=2", "--resume", "runs/x"]
    member, rest = distributed.split([*others, "--distributed", *MEETING])
    assert member == distributed.Membership("host:1234", 2, 1)
    assert rest == others
    assert distributed.split(others) == (None, others)
    assert distributed.split(["--distributed"])[0].coordinator is None


@pytest.mark.parametrize(
    "options, said",
    [
        (MEETING, "need --distributed"),
        (["--distributed", *MEETING[:2]], "give all of --coordinator HOST:PORT"),
        (["--distributed", "--coordinator=host", *MEETING[1:]], "HOST:PORT, not host"),
        (["--distributed", *MEETING[:2], "--process-id=2"], "from 0 to 1"),
        (["--distributed", *MEETING[:2], "--process-id=x"], "invalid int value"),
        (
            ["--distributed", MEETING[0], "--num-processes=0", "--process-id=0"],
            "--num-processes must be at least 1, not 0",
        ),
    ],
)
def test_wrong_options_are_refused_with_the_right_ones(options, said):
    with pytest.raises(ValueError, match=said):
        distributed.split(options)


def test_processes_with_different_options_are_refused(tmp_path):
    two = start_two(f"--run-dir={tmp_path / 'run'}", second=["--training.seed=1"])
    for code, _, errors in finish(two):
        assert code == 2
        assert "need the same options" in errors
    assert not (tmp_path / "run").exists()


def test_mistake_in_one_process_ends_all_with_one_line_each(tmp_path):
    two = start_two(f"--run-dir={tmp_path / 'run'}", second=["--training.sed=1"])
    (first, _, errors), (second, _, its_errors) = finish(two)
    assert (first, second) == (2, 2)
    assert errors == "error: another process stopped; it says why\n"
    assert "no option --training.sed; did you mean --training.seed?" in its_errors
    assert its_errors.count("\n") == 1


def test_without_a_cluster_the_needed_options_are_named():
    ((code, out, errors),) = finish([start("--distributed")])
    assert (code, out) == (2, "")
    assert len(errors.strip().splitlines()) == 1
    assert "give --coordinator HOST:PORT, --num-processes N and" in errors


def test_first_process_that_cannot_listen_asks_for_a_free_port():
    with socket.create_server(("", 0)) as server:
        cluster = slurm(server.getsockname()[1])
        first = cluster | {"SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
        ((code, _, errors),) = finish([start("--distributed", environment=first)])
    assert code in (2, -signal.SIGSEGV)  # JAX 0.10.2 may crash, which leaves last words
    assert "a free port" in errors.splitlines()[-1] and "None" not in errors


def test_text_of_the_first_process_may_be_of_another_length(monkeypatch):
    from jax.experimental import multihost_utils

    monkeypatch.setattr(jax, "process_count", lambda: 2)
    sent = []
    monkeypatch.setattr(
        multihost_utils, "broadcast_one_to_all", lambda x: sent.append(x) or x
    )
    assert processes.from_first("runs/point_2") == "runs/point_2"

    def received(mine):
        assert mine.shape == sent[0].shape and mine.dtype == sent[0].dtype
        return sent.pop(0)

    monkeypatch.setattr(multihost_utils, "broadcast_one_to_all", received)
    assert processes.from_first("") == "runs/point_2"


@pytest.fixture
def two_processes_of_three_devices(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(task_axis, "_by_process", lambda: [[None] * 3, [None] * 4])


def test_tasks_go_over_all_devices_of_all_processes(two_processes_of_three_devices):
    assert default_task_axis(12, chunk_size=1) == TaskAxis(1, 6, num_processes=2)
    assert default_task_axis(8, 1, num_devices=4) == TaskAxis(1, 4, num_processes=2)
    assert default_task_axis(12, chunk_size=1).local() == TaskAxis(1, 3)


@pytest.mark.parametrize("num_tasks, num_devices", [(10, None), (9, 3), (16, 8)])
def test_devices_that_do_not_divide_tasks_and_processes_are_refused(
    two_processes_of_three_devices, num_tasks, num_devices
):
    with pytest.raises(ValueError, match="a multiple of the 2 processes, not"):
        default_task_axis(num_tasks, 1, num_devices)


@pytest.mark.parametrize("end, said", [("os.abort()", "farewell"), ("", "")])
def test_last_words_are_said_unless_withdrawn(end, said):
    code = f"""
import os
from experiments.last_words import LastWords
words = LastWords("farewell")
{end}
words.withdraw()
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stderr.strip() == said
