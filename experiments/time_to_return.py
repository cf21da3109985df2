"""python -m experiments.time_to_return [COMPARISON]: seconds until a return is reached.

Trains each row of a comparison, in its settings, until the mean return after --step
adaptation steps on the held-out tasks is --target or more: by default the return of
Finn et al. (2017) on their 40 goals of point navigation. Learning rates fall over the
whole --budget of environment steps, and a row that does not get there in it is given
up. Every row and seed is timed from the start of a process of its own that finds
nothing compiled, so that imports, compilation and all evaluations are counted. Writes
table.md, table.csv, results.json and return.png into --out, anew after each row, and
for each row curve.csv. A row that is done is not run again; one that was interrupted
starts anew, since its seconds would not be those of one process.
"""

import dataclasses
import os
import shlex
import sys
from pathlib import Path

import tyro

import experiments
from experiments import cli, rows
from metarl_jax import platform


@dataclasses.dataclass(frozen=True)
class Options:
    """Measures the seconds from a cold start until a return is reached."""

    comparison: tyro.conf.Positional[str] = "point"
    target: float = -11.7  # mean return on the held-out tasks
    step: int = 1  # the number of adaptation steps after which it is measured
    # names, separated by commas; by default all that adapt in any number of steps
    rows: str | None = None
    budget: int | None = None  # environment steps; None: those of the comparison
    num_seeds: int = 1  # each in a process of its own: 0, 1, ...
    iterations_per_evaluation: int = 5
    num_devices: int | None = None
    out: Path | None = None  # runs/time_to_return_COMPARISON by default


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    options = cli.parse(Options, "python -m experiments.time_to_return", arguments)
    rows.share_machine()
    os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"  # of processes to come, too
    platform.configure(cache=False)
    with cli.clear_errors():
        results = plan(options)
        results.prepare(list(results.planned))
    command = f"python -m experiments.time_to_return {shlex.join(arguments)}"
    rows.run_and_report(list(results.planned), results, command)


def plan(options: Options):
    """The `ReturnTimes` to measure, a row for each seed: name_0, name_1, ...

    Raises:
      ValueError: for an unknown name, a row that does not adapt, or a number out of
        range.
    """
    from experiments.return_times import ReturnTimes

    if options.num_seeds < 1:
        raise ValueError(f"--num-seeds must be 1 or more, not {options.num_seeds}")
    comparison = experiments.load_comparison(options.comparison)
    settings = options.budget, 1, options.num_devices
    adapting = comparison.adapting_rows()
    planned = {}
    chosen = cli.names_in(options.rows) if options.rows else _testable(comparison)
    for name in chosen:
        experiment = comparison.experiment(name, *settings)
        if name not in adapting:
            raise ValueError(
                f"'{name}' does not learn to adapt; choose from {', '.join(adapting)}"
            )
        for seed in range(options.num_seeds):
            planned[f"{name}_{seed}"] = _timed(experiment, options, seed)
    out = options.out or Path("runs") / f"time_to_return_{options.comparison}"
    return ReturnTimes(out, planned, options.target)


def _testable(comparison) -> list[str]:
    """The rows that adapt, and may be tested on other trials than they were trained."""
    rows = comparison.rows
    adapting = comparison.adapting_rows()
    return [name for name in adapting if rows[name].algorithm.tested_on_any_length]


def _timed(experiment, options: Options, seed: int):
    """The experiment, tested as the options say."""
    return dataclasses.replace(
        experiment,
        training=dataclasses.replace(
            experiment.training,
            seed=seed,
            iterations_per_chunk=options.iterations_per_evaluation,
        ),
        evaluation=dataclasses.replace(
            experiment.evaluation, num_adaptation_steps=options.step
        ),
    )


if __name__ == "__main__":
    main()
