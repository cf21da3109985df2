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
import shlex
import sys
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
    num_seeds: int = 5
    num_devices: int | None = None
    out: Path | None = None  # runs/compare_NAME by default


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    options = cli.parse(Options, "python -m experiments.compare", arguments)
    rows.share_machine()
    platform.configure()
    with cli.clear_errors():
        chosen, results = plan(options)
        results.prepare(chosen)
    command = f"python -m experiments.compare {shlex.join(arguments)}"
    rows.run_and_report(chosen, results, command)


def plan(options: Options):
    """The names of the rows to run, and the `Results` of all that can be shown.

    Raises:
      ValueError: for an unknown name, or a number out of range.
    """
    from experiments.row_results import Results

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


if __name__ == "__main__":
    main()
