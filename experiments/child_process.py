"""Functions that run in a process of their own, and report while they do."""

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from experiments.cli import one_line


class _Report(NamedTuple):
    text: str


class _Result(NamedTuple):
    value: Any


class _Failure(NamedTuple):
    reason: str


def run(function: Callable, *arguments: Any, report: Callable[[str], None]) -> Any:
    """The value of `function(*arguments, report)`, computed in a new process.

    Args:
      function: of a module, which the new process imports.
      *arguments: can be pickled, as the value must be.
      report: called in this process with what the function reports, lines of text.

    Raises:
      ChildProcessError: if the function raised, or the process died, as it does for
        want of memory; the message says why in one line.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(sender, function, arguments))
    try:
        process.start()
        sender.close()
        return _receive(receiver, report)
    except EOFError:
        process.join()
        raise ChildProcessError(_cause_of_death(process.exitcode)) from None
    finally:
        if process.pid is not None:
            process.kill()
            process.join()


def _receive(receiver: Connection, report: Callable[[str], None]) -> Any:
    while True:
        match receiver.recv():
            case _Report(text):
                report(text)
            case _Result(value):
                return value
            case _Failure(reason):
                raise ChildProcessError(reason)


def _child(sender: Connection, function: Callable, arguments: tuple) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    try:
        value = function(*arguments, lambda text: sender.send(_Report(text)))
        sender.send(_Result(value))
    except Exception as error:
        sender.send(_Failure(one_line(error)))


def _cause_of_death(exit_code: int) -> str:
    if exit_code == -signal.SIGKILL:
        return "the process was killed, as the system does when memory runs out"
    return f"the process died with exit code {exit_code}"
