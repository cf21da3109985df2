"""python -m experiments.sweep NAME --grid field=a,b,c [--seeds N] [--any.field value].

Trains an experiment at every point of a grid and tests it on held-out tasks; several
--grid make a product. Fields and values are written as for experiments.run, short where
only one field fits; where a field takes several values they have spaces between:

    --grid learning_rate=1e-3,4e-3 --grid "inner_step_sizes=0.5 0.2,0.5"

has four points. Any other field is set for all points. Each point runs in a process of
its own, --processes at a time with an equal share of the CPU's cores, and its seeds in
one program. table.md, table.csv, results.json, adaptation.png and learning.png in --out
are written anew after each point: interquartile means of held-out returns with
bootstrap intervals. They have the points of this grid; a grid of other fields has
another folder, unless --out names one. The same command goes on where an earlier one
stopped, runs no point twice, and tries those again that failed. No oracle is trained,
unless --oracle-iterations is given. NAME --help lists all fields.
"""

import dataclasses
import shlex
import sys
from pathlib import Path
from typing import Annotated

import tyro

import experiments
from experiments import cli, grid, rows
from metarl_jax import platform
from metarl_jax.checks import require


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)
        raise SystemExit(0 if arguments else 2)
    with cli.clear_errors():
        processes = rows.share_machine(cli.value_of("--processes", arguments) or "1")
        platform.configure()
        results = plan(arguments[0], arguments[1:])
        results.prepare(list(results.planned))
    command = f"python -m experiments.sweep {shlex.join(arguments)}"
    rows.run_and_report(list(results.planned), results, command, processes)


def plan(name: str, arguments: list[str]):
    """The `Results` of a sweep, all of whose points are valid.

    Args:
      name: of the experiment.
      arguments: of the command line, after the name.

    Raises:
      ValueError: for an unknown name, or a value that is out of range or repeated.
    """
    from experiments.experiment import Experiment
    from experiments.row_results import INTERQUARTILE_MEAN, Results

    default = dataclasses.replace(experiments.load(name), oracle_iterations=0)

    @dataclasses.dataclass(frozen=True)
    class Options:
        experiment: Annotated[Experiment, tyro.conf.arg(name="")]
        grid: tyro.conf.UseAppendAction[tuple[str, ...]] = ()  # field=a,b,c
        seeds: int = 5  # of every point
        processes: int = 1  # points at a time
        out: Path | None = None  # runs/sweep_NAME_FIELDS by default

    program = f"python -m experiments.sweep {name}"
    options = cli.parse(Options, program, arguments, default=Options(default))
    base, fields = options.experiment, grid.fields(options.grid)
    is_as_registered = base.environment_options == default.environment_options
    require(
        "environment" not in fields or is_as_registered,
        "options of a task family cannot be set for a grid over environment, whose "
        "points have those of their own family",
    )
    planned = {
        point: _with_seeds(
            cli.parse(Experiment, program, settings, default=base), options.seeds
        )
        for point, settings in grid.points(options.grid).items()
    }
    _check(planned)
    folder = f"sweep_{name.replace(':', '_')}_{','.join(fields)}"
    return Results(options.out or Path("runs") / folder, planned, INTERQUARTILE_MEAN)


def _with_seeds(experiment, seeds: int):
    if experiment.training.num_seeds != 1:
        raise ValueError("the number of seeds of a sweep is given by --seeds")
    training = dataclasses.replace(experiment.training, num_seeds=seeds)
    return dataclasses.replace(experiment, training=training)


def _check(planned: dict) -> None:
    """Raises ValueError for a point that cannot be run, or that is there twice."""
    from experiments.experiment import check

    names = list(planned)
    for index, name in enumerate(names):
        for earlier in names[:index]:
            if planned[earlier] == planned[name]:
                raise ValueError(f"{earlier} and {name} are the same point")
        try:
            check(planned[name])
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None


if __name__ == "__main__":
    main()
