"""python -m experiments.run NAME [--any.field value] [--run-dir DIR] [--resume DIR].

Trains an experiment and evaluates it on held-out tasks. NAME --help lists its fields;
python -m experiments.list lists the names. With --distributed it is one of several
processes of one run.
"""

import dataclasses
import shlex
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import tyro

import experiments
from experiments import cli, distributed
from metarl_jax import platform


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        print(f"{__doc__}\n{distributed.HELP}")
        raise SystemExit(0 if arguments else 2)
    platform.configure()
    with cli.clear_errors():
        member, options = distributed.split(arguments[1:])
        if member is not None:
            distributed.join(member)

    from experiments.evaluator import print_summary

    with cli.clear_errors():
        directory, name, experiment = _prepare(arguments[0], options)
    print_summary(run(directory, name, experiment))


def run(directory, name: str, experiment) -> dict:
    """Trains and evaluates; on interruption says how to go on.

    Args:
      directory: the `RunDirectory`, which holds the configuration already.
      name: of the experiment.
      experiment: to train.

    Returns:
      The content of summary.json.
    """
    from experiments.evaluator import evaluate
    from experiments.trainer import train

    print(f"{name}: {experiment.description}\nresults in {directory.path}")
    arguments = shlex.join([name, "--resume", str(directory.path)])
    resume = f"python -m experiments.run {arguments}"
    with distributed.clear_ends(resume):
        train(directory, name, experiment, name)
        return evaluate(directory, name, experiment)


def _prepare(name: str, arguments: list[str]):
    """Checks everything that can be checked before a compilation."""
    from experiments.experiment import check
    from experiments.run_directory import RunDirectory
    from experiments.trainer import check_resumable
    from metarl_jax import processes

    options = processes.together(_parse, name, arguments)
    experiment = options.experiment
    if not processes.same_everywhere(f"{name} {options}"):
        raise ValueError("the processes of a run need the same options, all of them")
    processes.together(check, experiment)
    if options.resume and options.run_dir:
        raise ValueError("give --run-dir for a new run or --resume for an old one")
    if options.resume:
        directory = RunDirectory(options.resume)
        processes.together(check_resumable, directory, experiment)
        processes.on_first(directory.record, name, experiment)
    else:
        directory = RunDirectory(options.run_dir or _new_folder(name))
        processes.on_first(directory.create, name, experiment)
    if processes.any_process(not directory.config.exists()):
        raise ValueError(f"{directory.path} is not a folder that every process sees")
    return directory, name, experiment


def _new_folder(name: str) -> Path:
    """runs/NAME_TIME, of this run alone, even if another starts in the same second."""
    from experiments.run_directory import claim
    from metarl_jax import processes

    time = datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = Path("runs") / f"{name.replace(':', '_')}_{time}"
    claimed = processes.together(
        lambda: str(claim(folder)) if processes.is_first() else ""
    )
    return Path(processes.from_first(claimed))


def _parse(name: str, arguments: list[str]):
    """The options, by default those of the experiment or of the run to resume."""
    default = experiments.load(name)
    resume = cli.value_of("--resume", arguments)

    from experiments.experiment import Experiment
    from experiments.run_directory import RunDirectory

    if resume:
        saved, default = RunDirectory(Path(resume)).load()
        if saved != name:
            raise ValueError(f"{resume} holds a run of {saved}, not of {name}")

    @dataclasses.dataclass(frozen=True)
    class Options:
        experiment: Annotated[Experiment, tyro.conf.arg(name="")]
        run_dir: Path | None = None  # a new folder; by default runs/NAME_TIME
        resume: Path | None = None  # the folder of a run to go on with

    return cli.parse(
        Options,
        f"python -m experiments.run {name}",
        arguments,
        default=Options(default),
        description=distributed.HELP,
    )


if __name__ == "__main__":
    main()
