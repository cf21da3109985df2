"""python -m experiments.analyse RUN_DIR: what adaptation changed in a trained run.

On held-out tasks and for the first seed: how far each layer moved, how similar its
outputs stayed (linear CKA), the change of the policy by state where states are in the
plane, and the return after adaptation around the meta-parameters. Writes analysis.json
and figures into the run directory, or into --out.
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
    """Analyses a run; the data is that of the run's own evaluation."""

    run_dir: tyro.conf.Positional[Path]
    out: Path | None = None  # where the results go; the run directory by default
    num_tasks: int = 20  # of the held-out tasks, the first ones
    grid: int = 15  # points along each direction of the landscape, and of the plane
    reach: float = 0.5  # of the landscape, in lengths of the meta-parameters
    seed: int = 0

    def __post_init__(self):
        require_seeds(self.seed)
        if self.num_tasks < 1 or not self.reach > 0:
            raise ValueError("--num-tasks and --reach must be above 0")
        if self.grid < 3 or self.grid % 2 == 0:
            raise ValueError(f"--grid must be odd, 3 or more, not {self.grid}")


def main(arguments: list[str] | None = None) -> None:
    with cli.clear_errors():
        options = cli.parse(
            Options,
            "python -m experiments.analyse",
            sys.argv[1:] if arguments is None else arguments,
        )
    platform.configure()

    from experiments.analyser import analyse

    with cli.clear_errors():
        print(analyse(options))


if __name__ == "__main__":
    main()
