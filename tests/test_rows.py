"""Rows in processes of their own: several at a time, and what their ends leave."""

import json
import multiprocessing
import os
import signal
import threading
import time
from functools import partial
from pathlib import Path

import jax
import pytest

from experiments import rows
from experiments.cli import Interrupted
from experiments.row_folder import RowFolder, failures_recorded


class Folder:
    """A folder of rows whose programs are given; remembers what is recorded."""

    def __init__(self, **programs):
        self.programs = programs
        self.failures = {}
        self.num_writes = 0

    def program(self, name):
        return self.programs[name]

    def is_done(self, name):
        return False

    def has_failed(self, name):
        return name in self.failures

    def record_failure(self, name, reason):
        self.failures[name] = reason

    def forget_failure(self, name):
        self.failures.pop(name, None)

    def write(self):
        self.num_writes += 1


def write(path: Path, variable: str):
    path.write_text(os.environ[variable])


def meet(mine: Path, other: Path):
    """Ends well only if the other row runs at the same time."""
    mine.touch()
    deadline = time.monotonic() + 30
    while not other.exists():
        if time.monotonic() > deadline:
            raise SystemExit(1)
        time.sleep(0.01)


def stop_the_parent():
    os.kill(os.getppid(), signal.SIGTERM)
    time.sleep(30)
    raise SystemExit(3)


def test_two_processes_run_two_rows_at_a_time(tmp_path):
    left, right = tmp_path / "left", tmp_path / "right"
    folder = Folder(left=partial(meet, left, right), right=partial(meet, right, left))
    rows.run_rows(["left", "right"], folder, processes=2)
    assert folder.failures == {}
    assert folder.num_writes == 3  # at the start, and after each


def test_row_that_dies_is_recorded_and_the_others_run(tmp_path):
    good = partial(write, tmp_path / "place", "TQDM_POSITION")
    folder = Folder(bad=partial(os._exit, 7), good=good)
    rows.run_rows(["bad", "good"], folder)
    assert folder.failures == {"bad": "its process ended with code 7"}
    assert (tmp_path / "place").read_text() == "0"


def test_stop_ends_the_rows_that_run_and_starts_no_other(tmp_path):
    other = partial(write, tmp_path / "other", "PATH")
    folder = Folder(first=stop_the_parent, other=other)
    handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    start = time.monotonic()
    with pytest.raises(Interrupted):
        rows.run_rows(["first", "other"], folder)
    assert time.monotonic() - start < 25
    assert folder.failures == {}
    assert not (tmp_path / "other").exists()
    assert handlers == (
        signal.getsignal(signal.SIGTERM),
        signal.getsignal(signal.SIGINT),
    )


class FullDisk(Folder):
    def write(self):
        super().write()
        if self.num_writes > 1:
            raise OSError("no space left")


def test_error_here_stops_the_rows_that_run():
    folder = FullDisk(short=partial(os._exit, 0), long=partial(time.sleep, 60))
    start = time.monotonic()
    with pytest.raises(OSError, match="no space left"):
        rows.run_rows(["short", "long"], folder, processes=2)
    assert multiprocessing.active_children() == []
    assert time.monotonic() - start < 30


def test_nothing_is_waited_for_where_nothing_runs():
    waiting = threading.Thread(target=rows._ended, args=({},), daemon=True)
    waiting.start()
    waiting.join(timeout=10)
    assert not waiting.is_alive()


@pytest.mark.parametrize("error", [TypeError, OSError, jax.errors.JaxRuntimeError])
def test_failure_of_any_kind_is_recorded_and_raised(error, tmp_path):
    (tmp_path / "row").mkdir()
    folder = RowFolder(tmp_path, {})
    with pytest.raises(error), failures_recorded(folder, "row"):
        raise error("out of memory\nand more about it")
    assert folder.has_failed("row")
    reason = json.loads((tmp_path / "row" / "row.json").read_text())["failed"]
    assert reason == f"{error.__name__}: out of memory"


@pytest.mark.parametrize("processes, share", [("1", "4"), ("2", "2"), ("8", "1")])
def test_processes_share_the_devices_of_a_cpu(processes, share, monkeypatch):
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "4")
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    assert rows.share_machine(processes) == int(processes)
    assert os.environ["JAX_NUM_CPU_DEVICES"] == share


@pytest.mark.parametrize("processes", ["0", "-1", "two"])
def test_wrong_number_of_processes_is_refused(processes):
    with pytest.raises(ValueError, match="--processes takes a number above 0"):
        rows.share_machine(processes)
