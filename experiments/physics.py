"""python -m experiments.physics: environment steps per second of robots, by backend.

Measures each family of --families on each of --backends, in a process of its own: the
speed of the physics alone under random actions for each number of --robots side by
side, compile time and memory, and then which longer steps of the physics are stable.
Beside them, as the backend mujoco_c, gymnasium's robot by MuJoCo in C, one of them in
one process. Writes table.md and results.json into --out, anew after each row.

A row that is done is not run again; give the same command to go on. With --processes
several rows compile at the same time, but run one after another. --seconds limits what
a row takes: what would not fit any more is left out, and the table says so.

    python -m experiments.physics --backends spring,mjx --robots 64,256 --seconds 120
"""

import dataclasses
import shlex
import sys
from pathlib import Path

from experiments import cli, rows
from metarl_jax import platform

_PROGRAM = "python -m experiments.physics"


@dataclasses.dataclass(frozen=True)
class Options:
    """Measures the physics of robots; names and numbers are separated by commas."""

    families: str | None = None  # of robots; one of each robot by default
    backends: str | None = None  # all by default
    robots: str = "64,256,1024,4096"  # how many are simulated side by side
    seconds: float | None = None  # of a row, after which it begins nothing new
    processes: int = 1  # rows at a time; they take turns at running
    out: Path = Path("runs/physics")


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    options = cli.parse(Options, _PROGRAM, arguments, description=__doc__)
    with cli.clear_errors():
        rows.share_machine()  # not divided: rows take turns
    platform.configure(cache=False)
    with cli.clear_errors():
        results = plan(options)
        results.prepare(list(results.planned))
    command = f"{_PROGRAM} {shlex.join(arguments)}"
    rows.run_and_report(list(results.planned), results, command, options.processes)


def plan(options: Options):
    """The `Physics` to measure, a row for each family and backend.

    Raises:
      ValueError: for an unknown name, or a number out of range.
    """
    from experiments.physics_plan import planned
    from experiments.physics_results import Physics

    if options.processes < 1:
        raise ValueError(f"--processes must be above 0, not {options.processes}")
    if options.seconds is not None and not options.seconds > 0:
        raise ValueError(f"--seconds must be above 0, not {options.seconds:g}")
    chosen = options.families, options.backends, options.robots
    return Physics(options.out, planned(*chosen, options.seconds))


if __name__ == "__main__":
    main()
