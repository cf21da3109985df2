"""python -m experiments.beliefs RUN_DIR: what a trained run believes of its tasks.

On held-out tasks: how well a linear probe reads the task from the belief as data comes
in, and a map of the beliefs at the end of a trial; on GridNavi also where the agent
expects the goal, beside the exact Bayes posterior. Writes beliefs.json and figures into
the folder `beliefs` of the run, or into --out.
"""

import dataclasses
import sys
from pathlib import Path

import tyro

from experiments import cli
from metarl_jax import platform
from metarl_jax.checks import require_seeds


@dataclasses.dataclass(frozen=True)
class Options:
    """Looks into the beliefs of a run of PEARL or VariBAD."""

    run_dir: tyro.conf.Positional[Path]
    out: Path | None = None  # RUN_DIR/beliefs by default
    task_set: str | None = None  # as in the run's evaluation by default
    num_tasks: int = 100  # held-out tasks; fixed sets have their own number
    num_samples: int = 64  # embeddings drawn from a belief to decode it
    trial: int = 0  # the number of the task whose trial is drawn
    seed: int = 0  # of the trials
    seed_index: int = 0  # which of the seeds that were trained side by side

    def __post_init__(self):
        require_seeds(self.seed)
        for name in ("num_tasks", "num_samples"):
            value = getattr(self, name)
            if value < 1:
                option = name.replace("_", "-")
                raise ValueError(f"--{option} must be above 0, not {value}")


def main(arguments: list[str] | None = None) -> None:
    with cli.clear_errors():
        options = cli.parse(
            Options,
            "python -m experiments.beliefs",
            sys.argv[1:] if arguments is None else arguments,
        )
    platform.configure()

    from experiments.belief_report import report

    with cli.clear_errors():
        print(report(options))


if __name__ == "__main__":
    main()
