"""python -m experiments.evaluate RUN_DIR: how a trained run adapts to held-out tasks.

Writes summary.json, returns.json with the return of each held-out task, tasks.json with
what the tasks are, and adaptation_curve.png into the run directory, or into --out; for
tasks of six numbers or fewer returns_by_task.png, which shows on which a run fails; and
for goals in the plane trajectories.png.

With --algorithm field=value, which may be given several times, the algorithm is tested
with another setting than that of training. PEARL that acts on the mean of its belief,
beside what it does in training, where it samples from the belief:

    python -m experiments.evaluate RUN_DIR --algorithm embedding=mean --out RUN_DIR/mean

A setting of what was trained, such as the size of a network, cannot be another. Where a
field takes several values they have spaces between: --algorithm "inner_step_sizes=1 2".
They are recorded in summary.json, as `algorithm_settings`.
"""

import dataclasses
import shlex
import sys
from pathlib import Path

import tyro

from experiments import cli
from metarl_jax import platform

_OF_EVALUATION = "num_adaptation_steps", "num_episodes"  # fields of the algorithm, too
_PROGRAM = "python -m experiments.evaluate"


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
    algorithm: tyro.conf.UseAppendAction[tuple[str, ...]] = ()  # field=value


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    options = cli.parse(Options, _PROGRAM, arguments)
    platform.configure()

    from experiments.evaluator import evaluate, print_summary
    from experiments.run_directory import RunDirectory, changed_settings

    with cli.clear_errors():
        directory = RunDirectory(options.run_dir)
        name, trained = directory.load()
        tested = as_tested(trained, options)
    settings = changed_settings(trained, tested)
    with cli.clear_ends(f"{_PROGRAM} {shlex.join(arguments)}"):
        print_summary(evaluate(directory, name, tested, options.out, settings))


def as_tested(experiment, options: Options):
    """The experiment with the evaluation and the settings that are asked for.

    Raises:
      ValueError: if a setting is not of the form field=value.
    """
    others = ("run_dir", "out", "algorithm")
    given = {k: v for k, v in vars(options).items() if v is not None}
    given = {k: v for k, v in given.items() if k not in others}
    experiment = dataclasses.replace(
        experiment, evaluation=dataclasses.replace(experiment.evaluation, **given)
    )
    arguments = [word for text in options.algorithm for word in _setting(text)]
    return cli.parse(type(experiment), _PROGRAM, arguments, default=experiment)


def _setting(text: str) -> list[str]:
    """The arguments that "field=value" stands for."""
    field, _, value = (part.strip() for part in text.partition("="))
    if not field or not value:
        raise ValueError(f"--algorithm takes field=value, not '{text}'")
    if field.replace("-", "_") in _OF_EVALUATION:
        option = field.replace("_", "-")
        raise ValueError(f"{field} of a test is set by --{option} {value}")
    return [f"--algorithm.{field}", *value.split()]


if __name__ == "__main__":
    main()
