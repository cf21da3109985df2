"""python -m experiments.watch RUN_DIR: a trained robot before and after adaptation.

Plays one trial in a held-out task, or in the --task that is given, and shows the first
episode before adaptation beside the first one after it: as a page to turn and to step
through in a browser (watch.html, which loads nothing from the network), and as a
picture that moves (watch.gif, and watch.mp4 with --formats mp4). They go into the
folder `watch` of the run, or into --out.
"""

import dataclasses
import sys
from pathlib import Path
from typing import Literal, get_args

import tyro

from experiments import cli
from metarl_jax import platform
from metarl_jax.checks import require_seeds

Format = Literal["html", "gif", "mp4"]


@dataclasses.dataclass(frozen=True)
class Options:
    """Shows a robot of a run in one task."""

    run_dir: tyro.conf.Positional[Path]
    task: str | None = None  # its parameters, as in 1.5 or 0.5,-1; drawn by default
    task_set: str | None = None  # to draw from; as in the run's evaluation by default
    steps: int | None = None  # of adaptation; as in the run's evaluation by default
    seed: int = 0  # of the drawn task and of the trial
    seed_index: int = 0  # which of the seeds that were trained side by side
    formats: tuple[Format, ...] = ("html", "gif")
    out: Path | None = None  # RUN_DIR/watch by default

    def __post_init__(self):
        require_seeds(self.seed)
        if self.task is not None and self.task_set is not None:
            raise ValueError("give --task or --task-set, not both")
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"--steps must be above 0, not {self.steps}")
        if not self.formats or not set(self.formats) <= set(get_args(Format)):
            raise ValueError(f"--formats must be of {', '.join(get_args(Format))}")


def main(arguments: list[str] | None = None) -> None:
    with cli.clear_errors():
        options = cli.parse(
            Options,
            "python -m experiments.watch",
            sys.argv[1:] if arguments is None else arguments,
        )
    platform.configure()

    from experiments.watcher import watch

    with cli.clear_errors():
        print(watch(options))


if __name__ == "__main__":
    main()
