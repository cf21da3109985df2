"""python -m experiments.compare NAME: algorithms at equal environment steps.

Trains every row of a comparison, each in a process of its own, tests them on the same
held-out tasks and writes table.md, table.csv, results.json, adaptation.png and
learning.png into --out, anew after each row. Rows that are done are not run again, and
an interrupted one goes on where it stopped; the table has all that are done, also by
earlier commands. A row that fails is recorded with the reason, and tried again by the
next command.
"""

import contextlib
import dataclasses
import multiprocessing
import shlex
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import tyro

import experiments
from experiments import cli
from metarl_jax import platform


@dataclasses.dataclass(frozen=True)
class Options:
    """Compares algorithms; what is not given is as in the comparison."""

    name: tyro.conf.Positional[str]  # of the comparison
    rows: str | None = None  # names, separated by commas; all by default
    budget: int | None = None  # environment steps of a seed
    num_seeds: int = 5
    num_devices: int | None = None
    out: Path | None = None  # runs/compare_NAME by default


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    options = cli.parse(Options, "python -m experiments.compare", arguments)
    platform.configure()
    with cli.clear_errors():
        chosen, results = plan(options)
        results.prepare(chosen)
    with cli.clear_ends(f"python -m experiments.compare {shlex.join(arguments)}"):
        run_rows(chosen, results)
    print(results.table())
    print(f"results in {results.path}")
    failed = [name for name in chosen if results.has_failed(name)]
    if failed:
        cli.fail(f"failed: {', '.join(failed)}; the same command tries again")


def plan(options: Options):
    """The names of the rows to run, and the `Results` of all that can be shown.

    Raises:
      ValueError: for an unknown name, or a number out of range.
    """
    from experiments.comparison_results import Results

    comparison = experiments.load_comparison(options.name)
    settings = options.budget, options.num_seeds, options.num_devices
    chosen = options.rows.split(",") if options.rows else list(comparison.rows)
    planned = {name: comparison.experiment(name, *settings) for name in chosen}
    for name in comparison.rows.keys() - planned.keys():
        with contextlib.suppress(ValueError):  # the budget is too small for this one
            planned[name] = comparison.experiment(name, *settings)
    planned = {name: planned[name] for name in comparison.rows if name in planned}
    out = options.out or Path("runs") / f"compare_{options.name}"
    return list(dict.fromkeys(chosen)), Results(out, planned)


def run_rows(chosen: list[str], results) -> None:
    """Runs the chosen rows that are not done, and writes the table after each.

    Raises:
      Interrupted: after Ctrl-C or SIGTERM, once the row has saved.
    """
    results.write()
    waiting = [name for name in chosen if not results.is_done(name)]
    seconds = []
    for index, name in enumerate(waiting):
        left = _time_left(seconds, len(waiting) - index)
        print(f"row {index + 1} of {len(waiting)}: {name}{left}", flush=True)
        start = time.monotonic()
        _run_in_new_process(name, results)
        seconds.append(time.monotonic() - start)
        results.write()


def _time_left(seconds: list[float], num_rows: int) -> str:
    if not seconds:
        return ""
    return f", about {statistics.mean(seconds) * num_rows / 60:.0f} min left"


def _run_in_new_process(name: str, results) -> None:
    from experiments.comparison_results import run_row

    results.forget_failure(name)
    context = multiprocessing.get_context("spawn")
    arguments = results.path, name, results.planned[name]
    process = context.Process(target=run_row, args=arguments)
    with _started(process) as stops:
        process.join()
    if stops:
        raise cli.Interrupted(f"{name} was stopped")
    if process.exitcode and not results.has_failed(name):
        results.record_failure(name, f"its process ended with code {process.exitcode}")


@contextlib.contextmanager
def _started(process: BaseProcess) -> Iterator[list[int]]:
    """Starts a process, and passes Ctrl-C and SIGTERM on to it as SIGTERM.

    The process itself ignores Ctrl-C until it trains, which it gets from a terminal
    as well.

    Yields:
      The signals that came.
    """
    stops = []

    def stop(number, _):
        stops.append(number)
        process.terminate()

    previous = {signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN)}
    process.start()
    previous[signal.SIGTERM] = signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        yield stops
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    main()
