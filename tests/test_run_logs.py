import csv
import errno
import os
import resource
import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import masked_crc32c

from metarl_jax import run_files
from metarl_jax.run_logs import EVENTS_NAME, MetricsLog

NO_SPACE = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def chunk(start, length, num_seeds=2):
    """Metrics that are a function of the iteration and the seed."""
    iteration = np.arange(start, start + length)
    grid = iteration[:, None] + np.arange(num_seeds) / 3
    metrics = {
        "outer_loss": np.sin(grid).astype(np.float32),
        "return": -np.stack([grid, grid**2], axis=-1),
    }
    return iteration, 0.1 * iteration, 1000 * (iteration + 1), metrics


def rows(directory):
    with open(directory / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def events(directory):
    """All events in the order in which TensorBoard reads the files."""
    found = []
    for path in sorted(directory.glob(f"{EVENTS_NAME}*")):
        content = path.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            data = content[12 : 12 + length]
            checks = content[8:12] + content[12 + length : 16 + length]
            expected = masked_crc32c(content[:8]), masked_crc32c(data)
            assert struct.unpack("<II", checks) == expected
            found.append(Event.FromString(data))
            content = content[16 + length :]
    return found


def scalars(directory):
    """What TensorBoard shows: `{tag: {step: value}}`."""
    shown = {}
    for event in events(directory):
        if event.session_log.status == SessionLog.START:
            for series in shown.values():
                for step in [step for step in series if step >= event.step]:
                    del series[step]
        for value in event.summary.value:
            shown.setdefault(value.tag, {})[event.step] = value.simple_value
    return shown


def test_csv_has_one_row_per_iteration_and_seed(tmp_path):
    MetricsLog(tmp_path).write(*chunk(0, 3))
    table = rows(tmp_path)
    names = ["iteration", "seed", "seconds", "env_steps"]
    assert list(table[0]) == [*names, "outer_loss", "return_0", "return_1"]
    pairs = [(int(row["iteration"]), int(row["seed"])) for row in table]
    assert pairs == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]
    assert [row["seconds"] for row in table[::2]] == ["0.000", "0.100", "0.200"]
    assert [row["env_steps"] for row in table[::2]] == ["1000", "2000", "3000"]


def test_numbers_of_the_csv_read_back_bit_equal(tmp_path):
    MetricsLog(tmp_path).write(*chunk(0, 3))
    table = rows(tmp_path)
    metrics = chunk(0, 3)[-1]
    loss = np.array([row["outer_loss"] for row in table]).astype(np.float32)
    np.testing.assert_array_equal(loss.reshape(3, 2), metrics["outer_loss"])
    last = np.array([row["return_1"] for row in table]).astype(np.float64)
    np.testing.assert_array_equal(last.reshape(3, 2), metrics["return"][..., 1])


def test_resumed_log_equals_one_never_stopped(tmp_path):
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    log = MetricsLog(whole)
    for start in (0, 2, 4):
        log.write(*chunk(start, 2))
    log = MetricsLog(resumed)
    log.write(*chunk(0, 2))
    log.write(*chunk(2, 2))
    with open(resumed / "metrics.csv", "a") as file:
        file.write("4,0,0.4")  # a row cut by a kill
    log = MetricsLog(resumed, start_iteration=3)
    log.write(*chunk(3, 3))
    read = lambda path: (path / "metrics.csv").read_bytes()
    assert read(resumed) == read(whole)
    assert scalars(resumed) == scalars(whole)
    assert list(scalars(whole)["outer_loss"]) == [0, 1, 2, 3, 4, 5]


def test_resuming_twice_from_the_same_iteration_leaves_one_log(tmp_path):
    MetricsLog(tmp_path).write(*chunk(0, 4))
    for _ in range(2):
        MetricsLog(tmp_path, start_iteration=2).write(*chunk(2, 2))
    MetricsLog(tmp_path, start_iteration=1).write(*chunk(1, 1))
    assert [row["iteration"] for row in rows(tmp_path)] == ["0", "0", "1", "1"]
    assert list(scalars(tmp_path)["return_0"]) == [0, 1]


def test_starting_anew_forgets_the_old_log(tmp_path):
    MetricsLog(tmp_path).write(*chunk(0, 2))
    MetricsLog(tmp_path).write([0], 0.0, 5, {"other": np.ones((1, 1))})
    assert [row["other"] for row in rows(tmp_path)] == ["1.0"]
    assert scalars(tmp_path) == {"other": {0: 1.0}}


def test_tensorboard_shows_the_mean_over_seeds(tmp_path):
    MetricsLog(tmp_path).write([7], 1.0, 10, {"loss": np.array([[1.0, 2.0, 6.0]])})
    assert scalars(tmp_path) == {"loss": {7: 3.0}}


def test_event_files_name_no_host(tmp_path):
    MetricsLog(tmp_path, start_iteration=3)
    assert [path.name for path in tmp_path.iterdir()] == [f"{EVENTS_NAME}.000000003"]


def test_a_kill_after_write_loses_nothing(tmp_path):
    code = """
        import os, signal, sys
        import numpy as np
        from metarl_jax.run_logs import MetricsLog
        log = MetricsLog(sys.argv[1])
        for i in range(3):
            log.write([i], 0.0, i, {"loss": np.full((1, 1), i)})
        os.kill(os.getpid(), signal.SIGKILL)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
    root = Path(__file__).parents[1]
    assert subprocess.run(command, cwd=root).returncode == -9
    assert [row["loss"] for row in rows(tmp_path)] == ["0", "1", "2"]
    assert list(scalars(tmp_path)["loss"]) == [0, 1, 2]


@pytest.mark.parametrize(
    "metrics, message",
    [
        ({"loss": np.zeros(2)}, r"metric loss must be \[2 iterations, seeds"),
        ({"loss": np.zeros((3, 1))}, r"metric loss must be \[2 iterations, seeds"),
        ({"a": np.zeros((2, 1)), "b": np.zeros((2, 3))}, "number of seeds"),
    ],
)
def test_wrong_shapes_are_named(tmp_path, metrics, message):
    with pytest.raises(ValueError, match=message):
        MetricsLog(tmp_path).write([0, 1], 0.0, 0, metrics)


def test_other_metrics_in_one_file_are_refused(tmp_path):
    log = MetricsLog(tmp_path)
    log.write([0], 0.0, 0, {"loss": np.zeros((1, 1))})
    with pytest.raises(ValueError, match="another run directory"):
        log.write([1], 0.0, 0, {"gain": np.zeros((1, 1))})


@pytest.fixture
def small_disk():
    """A limit on the size of files, which fails as a full disk does: in part."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_full_disk_leaves_whole_rows_and_one_clear_error(tmp_path, small_disk):
    log = MetricsLog(tmp_path)
    log.write(*chunk(0, 2))
    before = (tmp_path / "metrics.csv").read_bytes()
    with pytest.raises(OSError, match="cannot write .*metrics.csv: .*resume") as error:
        log.write(*chunk(2, 500))
    assert "\n" not in str(error.value)
    assert error.value.errno == errno.EFBIG
    assert (tmp_path / "metrics.csv").read_bytes() == before


def test_full_disk_on_resume_leaves_the_old_log(tmp_path, monkeypatch):
    MetricsLog(tmp_path).write(*chunk(0, 4))
    before = (tmp_path / "metrics.csv").read_bytes()

    def fail(_):
        raise NO_SPACE

    monkeypatch.setattr(run_files.os, "fsync", fail)
    with pytest.raises(OSError, match="No space left on device") as error:
        MetricsLog(tmp_path, start_iteration=2)
    assert error.value.errno == errno.ENOSPC
    assert (tmp_path / "metrics.csv").read_bytes() == before
    assert not list(tmp_path.glob("*.partial"))
