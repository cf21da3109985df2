"""Functions in a process of their own: their values, reports and deaths."""

import multiprocessing
import os
import signal
import time
from multiprocessing.connection import Connection

import pytest

from experiments import child_process


def add(left, right, report):
    report("adding")
    report("done")
    return left + right


def refuse(report):
    raise ValueError("this is wrong\nand more about it")


def die(report):
    os._exit(7)


def run_out_of_memory(report):
    os.kill(os.getpid(), signal.SIGKILL)


def test_value_and_reports_come_back():
    reports = []
    assert child_process.run(add, 2, 3, report=reports.append) == 5
    assert reports == ["adding", "done"]


@pytest.mark.parametrize(
    "function, said",
    [
        (refuse, "^ValueError: this is wrong$"),
        (die, "exit code 7$"),
        (run_out_of_memory, "killed, as the system does when memory runs out$"),
    ],
)
def test_failure_is_one_line_that_says_why(function, said):
    with pytest.raises(ChildProcessError, match=said):
        child_process.run(function, report=print)


def sleep(report):
    time.sleep(60)


def test_interrupt_right_after_the_start_leaves_no_process(monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Connection, "close", interrupt)
    with pytest.raises(KeyboardInterrupt):
        child_process.run(sleep, report=print)
    assert multiprocessing.active_children() == []
