"""Rows of a table, each run in a process of its own, several at a time."""

import contextlib
import multiprocessing
import os
import signal
import statistics
import time
from collections.abc import Iterator
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

from experiments import cli


def share_machine(processes: str = "1") -> int:
    """Lets this process and those that run rows use one machine.

    The devices of a CPU (`experiments` has set one for each core) are divided by the
    number of processes at a time; an accelerator's memory is taken as it is needed.
    Call it before JAX is imported.

    Args:
      processes: how many run rows at a time, as it was typed.

    Raises:
      ValueError: if that is no number above 0.
    """
    if not processes.isdecimal() or int(processes) < 1:
        raise ValueError(f"--processes takes a number above 0, not {processes}")
    share = max(1, int(os.environ["JAX_NUM_CPU_DEVICES"]) // int(processes))
    os.environ["JAX_NUM_CPU_DEVICES"] = str(share)
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    return int(processes)


def run_and_report(
    chosen: list[str], results, command: str, processes: int = 1
) -> None:
    """`run_and_show`, and `name_failures`."""
    run_and_show(chosen, results, command, processes)
    name_failures(chosen, results)


def run_and_show(chosen: list[str], results, command: str, processes: int = 1) -> None:
    """Runs the chosen rows that are not done, and prints the table.

    Args:
      chosen: names of rows.
      results: the `RowFolder` that they are rows of, prepared.
      command: that goes on after an interruption.
      processes: how many rows to run at a time.
    """
    with cli.clear_ends(command):
        run_rows(chosen, results, processes)
    print(results.table())
    print(f"results in {results.path}")


def name_failures(chosen: list[str], results) -> None:
    """Exits with one line about the rows that failed, if any."""
    failed = [name for name in chosen if results.has_failed(name)]
    if failed:
        cli.fail(f"failed: {', '.join(failed)}; the same command tries again")


def run_rows(chosen: list[str], results, processes: int = 1) -> None:
    """Runs the chosen rows that are not done, and writes the table after each.

    Raises:
      Interrupted: after Ctrl-C or SIGTERM, once the rows that ran have saved.
    """
    results.write()
    queue = _Queue([name for name in chosen if not results.is_done(name)], processes)
    running: dict[int, BaseProcess] = {}  # by place, of which there are `processes`
    with _passing_on_stops(running) as stops, _none_left(running):
        while running or (queue.waiting and not stops):
            for place in sorted(set(range(processes)) - running.keys()):
                if queue.waiting and not stops:
                    running[place] = _start(queue.next(), results, place)
                    if stops:  # came while the process was started
                        running[place].terminate()
            for place in _ended(running):
                process = running.pop(place)
                _record(process, results, bool(stops))
                queue.end(process.name)
                results.write()
    if stops:
        raise cli.Interrupted("stopped; what was run so far is kept")


class _Queue:
    """Rows that wait, and the time that is left for them."""

    def __init__(self, waiting: list[str], processes: int):
        self.waiting = waiting
        self._total = len(waiting)
        self._processes = processes
        self._starts: dict[str, float] = {}
        self._seconds: list[float] = []  # of rows that have ended

    def next(self) -> str:
        """Takes the next row and says so."""
        left = ""
        if self._seconds:
            batches = max(1.0, len(self.waiting) / self._processes)
            minutes = statistics.mean(self._seconds) * batches / 60
            left = f", about {minutes:.0f} min left"
        name = self.waiting.pop(0)
        number = self._total - len(self.waiting)
        print(f"row {number} of {self._total}: {name}{left}", flush=True)
        self._starts[name] = time.monotonic()
        return name

    def end(self, name: str) -> None:
        self._seconds.append(time.monotonic() - self._starts[name])


def _start(name: str, results, place: int) -> BaseProcess:
    """Starts the process of a row, which ignores Ctrl-C until it trains.

    A terminal sends Ctrl-C to it as well, but it is told to stop by SIGTERM.

    Args:
      name: of the row, and of the process.
      results: the `RowFolder`, whose program is run.
      place: of its progress bar among those of other processes.
    """
    results.forget_failure(name)
    os.environ["TQDM_POSITION"] = str(place)  # read by the process when it starts
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=results.program(name), name=name)
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process.start()
    finally:
        signal.signal(signal.SIGINT, handler)
    return process


def _ended(running: dict[int, BaseProcess]) -> list[int]:
    """Waits for at least one process, if any runs; the places of those that ended."""
    if running:
        wait([process.sentinel for process in running.values()])
    return [place for place, process in running.items() if not process.is_alive()]


def _record(process: BaseProcess, results, stopped: bool) -> None:
    """Records the failure of a row that ended without a word."""
    code = process.exitcode
    if code and not stopped and not results.has_failed(process.name):
        results.record_failure(process.name, f"its process ended with code {code}")


@contextlib.contextmanager
def _passing_on_stops(running: dict[int, BaseProcess]) -> Iterator[list[int]]:
    """Passes Ctrl-C and SIGTERM on as SIGTERM to all processes that run.

    Yields:
      The signals that came.
    """
    stops = []

    def stop(number, _):
        stops.append(number)
        for process in running.values():
            process.terminate()

    signals = signal.SIGINT, signal.SIGTERM
    previous = {number: signal.signal(number, stop) for number in signals}
    try:
        yield stops
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _none_left(running: dict[int, BaseProcess]) -> Iterator[None]:
    """Stops the processes that still run after an error, and waits until they saved."""
    try:
        yield
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.join()
