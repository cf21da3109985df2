"""python -m experiments.compare NAME: algorithms at equal environment steps.

Trains every row of a comparison, each in a process of its own, tests them on the same
held-out tasks and writes table.md, table.csv, results.json, adaptation.png and
learning.png into --out, anew after each row. Rows that are done are not run again, and
an interrupted one goes on where it stopped.
"""

import dataclasses
import multiprocessing
import signal
import sys
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

    from experiments.comparison_results import Results

    with cli.clear_errors():
        planned = plan(options)
        out = options.out or Path("runs") / f"compare_{options.name}"
        results = Results(out, list(experiments.load_comparison(options.name).rows))
        results.prepare(planned)
    go_on = f"python -m experiments.compare {' '.join(arguments)}"
    for index, (name, experiment) in enumerate(planned.items()):
        print(f"row {index + 1} of {len(planned)}: {name}", flush=True)
        if not results.is_done(name):
            _run_in_new_process(out, name, experiment, go_on)
        with cli.clear_ends(go_on):
            results.write()
    print(results.table())
    print(f"results in {out}")
    failed = [name for name, row in results.rows().items() if "failed" in row]
    if failed:
        cli.fail(f"failed: {', '.join(failed)}; remove their folders to try again")


def plan(options: Options) -> dict:
    """The experiment of each row, checked before anything is run.

    Raises:
      ValueError: for an unknown name, or a number out of range.
    """
    comparison = experiments.load_comparison(options.name)
    names = options.rows.split(",") if options.rows else list(comparison.rows)
    return {
        name: comparison.experiment(
            name, options.budget, options.num_seeds, options.num_devices
        )
        for name in names
    }


def _run_in_new_process(out: Path, name: str, experiment, go_on: str) -> None:
    """Runs a row, and leaves if it was interrupted."""
    from experiments.comparison_results import run_row

    context = multiprocessing.get_context("spawn")
    process = context.Process(target=run_row, args=(out, name, experiment))
    # Ctrl-C also reaches the row, which saves; wait for it
    previous = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        process.start()
        process.join()
    finally:
        signal.signal(signal.SIGINT, previous)
    if not (out / name / "row.json").exists():
        print(f"{name} was stopped; go on with:\n  {go_on}")
        raise SystemExit(130 if process.exitcode == 130 else 1)


if __name__ == "__main__":
    main()
