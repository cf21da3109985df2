"""python -m experiments.depth: memory and time of deep adaptation.

For each number of adaptation steps K: the temporary memory of the compiled
meta-gradient of one task of `maml_point`, as XLA states it, and the seconds it takes,
with and without rematerialisation. Prints a table; --out DIR saves depth.csv and
depth.png.
"""

import csv
import dataclasses
import statistics
import sys
from pathlib import Path

import experiments
from experiments import cli
from experiments.timing import timed
from metarl_jax import platform
from metarl_jax.run_files import make_folder


@dataclasses.dataclass(frozen=True)
class Options:
    """Measures the meta-gradient of one task."""

    steps: str = "1,5,20,50"  # K, separated by commas
    horizon: int = 100  # T
    num_episodes: int = 20  # E
    repeats: int = 3
    out: Path | None = None

    def __post_init__(self):
        if not all(k.isdecimal() and int(k) > 0 for k in self.steps.split(",")):
            raise ValueError(f"--steps takes numbers like 1,5,20, not {self.steps}")
        if min(self.horizon, self.num_episodes, self.repeats) < 1:
            raise ValueError("--horizon, --num-episodes and --repeats must be above 0")


@dataclasses.dataclass(frozen=True)
class Depth:
    """One row: the meta-gradient through K steps."""

    num_adaptation_steps: int
    rematerialize: bool
    memory_mb: float  # temporaries of the compiled gradient
    seconds: float  # median
    gradient_norm: float


def main(arguments: list[str] | None = None) -> None:
    with cli.clear_errors():
        options = cli.parse(
            Options,
            "python -m experiments.depth",
            sys.argv[1:] if arguments is None else arguments,
        )
        if options.out:
            make_folder(options.out)
    platform.configure()
    rows = []
    print(" ".join(f"{field.name:>20}" for field in dataclasses.fields(Depth)))
    for num_steps in map(int, options.steps.split(",")):
        for rematerialize in (False, True):
            rows.append(measure(options, num_steps, rematerialize))
            print(" ".join(f"{v:>20.4g}" for v in dataclasses.astuple(rows[-1])))
    if options.out:
        save(options.out, rows)


def measure(options: Options, num_steps: int, rematerialize: bool) -> Depth:
    """Compiles and times the gradient of one task's outer loss."""
    import optax

    program, params, trial = _program(options, num_steps, rematerialize)
    seconds = timed(lambda: program(params, trial), options.repeats)
    return Depth(
        num_steps,
        rematerialize,
        program.memory_analysis().temp_size_in_bytes / 1e6,
        statistics.median(seconds),
        float(optax.tree.norm(program(params, trial))),
    )


def save(folder: Path, rows: list[Depth]) -> None:
    """Writes depth.csv and depth.png."""
    from metarl_jax import plots

    with (folder / "depth.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [f.name for f in dataclasses.fields(Depth)])
        writer.writeheader()
        writer.writerows(dataclasses.asdict(row) for row in rows)
    curves = {
        name: [
            (row.num_adaptation_steps, row.memory_mb, row.seconds)
            for row in rows
            if row.rematerialize == kept
        ]
        for name, kept in (("all steps kept", False), ("rematerialised", True))
    }
    plots.depth(curves).savefig(folder / "depth.png", dpi=150)


def _program(options: Options, num_steps: int, rematerialize: bool):
    """The compiled gradient, and what to call it with."""
    import jax

    import envs
    from metarl_jax.algorithms import maml
    from metarl_jax.gradient_methods import meta_objective
    from metarl_jax.task_axis import TaskAxis

    experiment = experiments.load("maml_point")
    config = dataclasses.replace(
        experiment.algorithm,
        num_adaptation_steps=num_steps,
        num_episodes=options.num_episodes,
        inner_step_sizes=(0.02,),
        outer_stages="last",
        rematerialize=rematerialize,
    )
    env, tasks = envs.make("point", horizon=options.horizon)
    algorithm = maml(env, config, TaskAxis())
    objective = meta_objective(algorithm.policy, algorithm.adaptation, config)
    params = algorithm.policy.init(jax.random.key(0))
    task = tasks.train(jax.random.key(1))
    trial = jax.jit(algorithm.adapt)(jax.random.key(2), params, task)
    lowered = jax.jit(jax.grad(objective.value)).lower(params, trial)
    return lowered.compile(), params, trial


if __name__ == "__main__":
    main()
