"""python -m experiments.evaluate RUN_DIR: how a trained run adapts to held-out tasks.

Writes summary.json, returns.json, adaptation_curve.png and, for goals in the plane,
trajectories.png into the run directory, or into --out.
"""

import dataclasses
import sys
from pathlib import Path

import tyro

from experiments import cli
from metarl_jax import platform


@dataclasses.dataclass(frozen=True)
class Options:
    """Evaluates a run; what is not given is as in the run's configuration."""

    run_dir: tyro.conf.Positional[Path]
    out: Path | None = None  # where the results go; the run directory by default
    task_set: str | None = None  # "train", "test", "ood" or a fixed set
    num_tasks: int | None = None
    num_adaptation_steps: int | None = None
    num_episodes: int | None = None
    seed: int | None = None


def main(arguments: list[str] | None = None) -> None:
    options = cli.parse(
        Options,
        "python -m experiments.evaluate",
        sys.argv[1:] if arguments is None else arguments,
    )
    platform.configure()

    from experiments.evaluator import evaluate, print_summary
    from experiments.run_directory import RunDirectory

    with cli.clear_errors():
        directory = RunDirectory(options.run_dir)
        name, experiment = directory.load()
        given = {k: v for k, v in vars(options).items() if v is not None}
        given = {k: v for k, v in given.items() if k not in ("run_dir", "out")}
        experiment = dataclasses.replace(
            experiment, evaluation=dataclasses.replace(experiment.evaluation, **given)
        )
    with cli.clear_ends(f"python -m experiments.evaluate {options.run_dir}"):
        print_summary(evaluate(directory, name, experiment, options.out))


if __name__ == "__main__":
    main()
