"""make demo: meta-trains MAML on point navigation, and prints it beside the paper."""

import contextlib
import dataclasses
import shutil
from pathlib import Path

import experiments
from experiments import cli
from experiments.run import run
from metarl_jax import platform

_NAME = "maml_point"
_NUM_SEEDS = 3
_DIRECTORY = Path("runs/demo")


def main() -> None:
    cli.take_no_arguments(__doc__)
    platform.configure()

    from experiments.run_directory import RunDirectory

    experiment = experiments.load(_NAME)
    training = dataclasses.replace(experiment.training, num_seeds=_NUM_SEEDS)
    experiment = dataclasses.replace(experiment, training=training)
    with cli.clear_errors():
        directory = _prepare(RunDirectory(_DIRECTORY), experiment)
    summary = run(directory, _NAME, experiment)
    print(comparison(summary, experiment.published))
    print(f"figures: {directory.adaptation_curve}, {directory.trajectories}")


def comparison(summary: dict, published: dict[str, list[float]]) -> str:
    """A table of this run beside published returns, one line for each step."""
    lines = [
        f"{'step':>4} {'here':>8} {'95% interval':>18}"
        + "".join(f" {name:>32}" for name in published)
    ]
    for step, score in enumerate(summary["return_by_step"]):
        low, high = summary["interval_by_step"][step]
        cells = [
            f"{returns[step]:32.2f}" if step < len(returns) else " " * 32
            for returns in published.values()
        ]
        interval = f"[{low:.2f}, {high:.2f}]"
        lines.append(f"{step:>4} {score:8.2f} {interval:>18} " + " ".join(cells))
    return "\n".join(lines)


def _prepare(directory, experiment):
    """Goes on with an interrupted demonstration; a finished one starts afresh."""
    unfinished = not directory.summary.exists()
    with contextlib.suppress(FileNotFoundError, ValueError):  # none, or an older one
        if unfinished and directory.load() == (_NAME, experiment):
            return directory
    shutil.rmtree(directory.path, ignore_errors=True)
    directory.create(_NAME, experiment)
    return directory


if __name__ == "__main__":
    main()
