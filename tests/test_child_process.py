"""Functions in a process of their own: their values, reports and deaths."""

import os
import signal

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
