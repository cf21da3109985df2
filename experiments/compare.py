"""python -m experiments.compare NAME: algorithms at equal environment steps or seconds.

Trains every row of a comparison, each in a process of its own, tests them on the same
held-out tasks and writes table.md, table.csv, results.json, adaptation.png and
learning.png into --out, anew after each row. Rows that are done are not run again, and
an interrupted one goes on where it stopped; the table has all that are done, also by
earlier commands. A row that fails is recorded with the reason, and tried again by the
next command.

With --seconds S the seconds of an iteration of each row are measured first, once, and
kept in the folder `speeds` of --out; each row is then trained for as many iterations as
fit into S seconds of a seed, without compiling. A row that cannot be measured, or of
which no iteration fits, counts as failed. Speeds of another kind of device are refused.
"""

import dataclasses
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import tyro

import experiments
from experiments import cli, rows
from metarl_jax import platform


@dataclasses.dataclass(frozen=True)
class Options:
    """Compares algorithms; what is not given is as in the comparison."""

    name: tyro.conf.Positional[str]  # of the comparison
    rows: str | None = None  # names, separated by commas; all by default
    budget: int | None = None  # environment steps of a seed
    seconds: float | None = None  # of training a seed, in place of a budget
    num_seeds: int = 5
    num_devices: int | None = None
    out: Path | None = None  # runs/compare_NAME, or compare_NAME_Ss, by default

    def __post_init__(self):
        if self.seconds is None:
            return
        if self.budget is not None:
            raise ValueError("give --budget or --seconds, not both")
        if not 0 < self.seconds < float("inf"):
            raise ValueError(f"--seconds must be above 0, not {self.seconds:g}")

    @property
    def folder(self) -> Path:
        """Where the results go."""
        if self.out is not None:
            return self.out
        seconds = "" if self.seconds is None else f"_{self.seconds:g}s"
        return Path("runs") / f"compare_{self.name}{seconds}"


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    command = f"python -m experiments.compare {shlex.join(arguments)}"
    with cli.clear_errors():
        options = cli.parse(Options, "python -m experiments.compare", arguments)
    rows.share_machine()
    platform.configure()
    if options.seconds is not None:
        with cli.clear_errors():
            chosen, speeds = plan_speeds(options)
            speeds.prepare(chosen)
        rows.run_and_show(chosen, speeds, command)
    with cli.clear_errors():
        chosen, results = plan(options)
        planned = [name for name in chosen if name in results.planned]
        results.prepare(planned)
    rows.run_and_show(planned, results, command)
    rows.name_failures(chosen, results)


def plan(options: Options):
    """The names of the rows to run, and the `Results` of these and of those run before.

    Raises:
      ValueError: for an unknown name, or a number out of range. With --seconds a row
        that cannot be planned is among the results, with the reason.
    """
    from experiments.row_results import Results

    comparison = experiments.load_comparison(options.name)
    experiment = _experiment_of_row(options, comparison)
    chosen = _chosen(options, comparison)
    # to plan a row is to trace its trials: others only where they may have been run
    stored = [name for name in comparison.rows if (options.folder / name).exists()]
    planned, refused = {}, {}
    for name in dict.fromkeys([*chosen, *stored]):
        try:
            planned[name] = experiment(name)
        except ValueError as error:
            if name in chosen and options.seconds is None:
                raise
            if name in chosen:
                refused[name] = str(error)
    planned = {name: planned[name] for name in comparison.rows if name in planned}
    results = Results(options.folder, planned, seconds=options.seconds, refused=refused)
    return chosen, results


def plan_speeds(options: Options):
    """The names of the rows to measure, and the `Speeds` of all that are trained.

    Raises:
      ValueError: for an unknown name, or a number out of range.
    """
    from experiments.comparison import learns
    from experiments.equal_seconds import Speeds

    comparison = experiments.load_comparison(options.name)
    settings = options.num_seeds, options.num_devices
    names = dict.fromkeys([*comparison.rows, *_chosen(options, comparison)])
    planned = {name: comparison.one_iteration(name, *settings) for name in names}
    planned = {name: row for name, row in planned.items() if learns(row)}
    chosen = [name for name in _chosen(options, comparison) if name in planned]
    return chosen, Speeds(options.folder / "speeds", planned)


def _chosen(options: Options, comparison) -> list[str]:
    names = cli.names_in(options.rows) if options.rows else comparison.rows
    return list(dict.fromkeys(names))


def _experiment_of_row(options: Options, comparison) -> Callable:
    """`name -> Experiment`, which raises ValueError where it cannot be run."""
    settings = options.num_seeds, options.num_devices
    if options.seconds is None:
        return lambda name: comparison.experiment(name, options.budget, *settings)
    _, speeds = plan_speeds(options)

    def timed(name: str):
        if name in speeds.planned:
            return speeds.experiment(name, options.seconds)
        return comparison.one_iteration(name, *settings)

    return timed


if __name__ == "__main__":
    main()
