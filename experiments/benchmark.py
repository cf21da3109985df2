"""python -m experiments.benchmark NAME --tasks 20,40,80: speed of meta-iterations.

Whole meta-iterations (collect, adapt, collect, meta-gradient, update) are timed after
a warm-up and synchronised; each task batch runs in a process of its own, with the
compilation cache off. Prints a table; --out DIR saves benchmark.csv and benchmark.png.
"""

import csv
import dataclasses
import multiprocessing
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro

import experiments
from experiments import cli
from metarl_jax import platform


@dataclasses.dataclass(frozen=True)
class Timing:
    """One row of the benchmark; times are medians, in seconds."""

    num_tasks: int
    env_steps_per_second: float  # of whole meta-iterations
    slowest: float  # env_steps_per_second in the slowest repeat
    fastest: float  # and in the fastest
    iteration_seconds: float
    collect_seconds: float  # trials of all tasks, adaptation included
    learn_seconds: float  # meta-gradient and update
    compile_seconds: float
    peak_memory_mb: float  # of the process, or of the accelerator


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)
        raise SystemExit(0 if arguments else 2)
    with cli.clear_errors():
        options = _parse(arguments[0], arguments[1:])
        timings = []
        print(" ".join(f"{field.name:>21}" for field in dataclasses.fields(Timing)))
        for num_tasks in options.tasks:
            timing = _in_new_process(options.experiment, num_tasks, options.repeats)
            timings.append(timing)
            print(" ".join(f"{v:>21.4g}" for v in dataclasses.astuple(timing)))
            if options.out:
                save(options.out, timings)


def measure(experiment, num_tasks: int, repeats: int) -> Timing:
    """Times one task batch in this process.

    Args:
      experiment: what to run; its number of tasks is replaced.
      num_tasks: N.
      repeats: how many timed runs of `iterations_per_chunk` iterations.
    """
    platform.configure(cache=False)

    from experiments.experiment import build, env_steps_per_iteration

    config = dataclasses.replace(experiment.training, num_tasks=num_tasks)
    experiment = dataclasses.replace(experiment, training=config)
    problem = build(experiment)
    state = problem.initial_state(config)
    collect, learn = _phases(problem, config)
    trials = collect(state)
    collecting = _seconds(lambda: collect(state), repeats)
    learning = _seconds(lambda: learn(state, trials), repeats)
    whole, compile_seconds = _whole_iterations(problem, config, state)
    iterating = [t / config.iterations_per_chunk for t in _seconds(whole, repeats)]
    steps = config.num_seeds * env_steps_per_iteration(problem, num_tasks)
    median = statistics.median(iterating)
    return Timing(
        num_tasks=num_tasks,
        env_steps_per_second=steps / median,
        slowest=steps / max(iterating),
        fastest=steps / min(iterating),
        iteration_seconds=median,
        collect_seconds=statistics.median(collecting),
        learn_seconds=statistics.median(learning),
        compile_seconds=compile_seconds,
        peak_memory_mb=platform.peak_memory_mb(),
    )


def save(folder: Path, timings: list[Timing]) -> None:
    """Writes benchmark.csv and benchmark.png."""
    from metarl_jax import plots

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "benchmark.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [f.name for f in dataclasses.fields(Timing)])
        writer.writeheader()
        writer.writerows(dataclasses.asdict(timing) for timing in timings)
    figure = plots.throughput(
        [timing.num_tasks for timing in timings],
        [timing.env_steps_per_second for timing in timings],
        [timing.peak_memory_mb for timing in timings],
    )
    figure.savefig(folder / "benchmark.png", dpi=150)


def _parse(name: str, arguments: list[str]):
    default = experiments.load(name)

    from experiments.experiment import Experiment

    @dataclasses.dataclass(frozen=True)
    class Options:
        experiment: Annotated[Experiment, tyro.conf.arg(name="")]
        tasks: str = "20,40,80,160,320,640"  # task batches, separated by commas
        repeats: int = 5  # timed runs of training.iterations_per_chunk iterations
        out: Path | None = None  # a folder for benchmark.csv and benchmark.png

    options = cli.parse(
        Options,
        f"python -m experiments.benchmark {name}",
        arguments,
        default=Options(default),
    )
    sizes = options.tasks.split(",")
    if not all(size.isdecimal() and int(size) > 0 for size in sizes):
        raise ValueError(f"--tasks takes numbers like 20,40,80, not {options.tasks}")
    if options.repeats < 1:
        raise ValueError(f"--repeats must be 1 or more, not {options.repeats}")
    return dataclasses.replace(options, tasks=[int(size) for size in sizes])


def _in_new_process(experiment, num_tasks: int, repeats: int) -> Timing:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        return pool.submit(measure, experiment, num_tasks, repeats).result()


def _phases(problem, config):
    """Compiled functions of the collecting and the learning half, for all seeds."""
    import jax

    from metarl_jax.training import collect_trials

    def collect(state):
        return collect_trials(
            state.key,
            problem.algorithm,
            state.train_state,
            problem.tasks.train,
            problem.axis,
            config.num_tasks,
        )

    def learn(state, trials):
        return problem.algorithm.update(state.key, state.train_state, trials)

    over_seeds = problem.axis.over_seeds
    return jax.jit(partial(over_seeds, collect)), jax.jit(partial(over_seeds, learn))


def _whole_iterations(problem, config, state):
    """A function that runs one chunk further, and the seconds it took to compile."""
    from metarl_jax import training

    step = problem.step(config.num_tasks)
    start = time.perf_counter()
    state = problem.axis.replicate(state)
    program = training.chunk_program(step, problem.axis, config.iterations_per_chunk)
    program = program.lower(state, problem.numbers).compile()
    compile_seconds = time.perf_counter() - start

    def advance():
        nonlocal state
        state, metrics = program(state, problem.numbers)
        return state, metrics

    return advance, compile_seconds


def _seconds(run, repeats: int) -> list[float]:
    import jax

    jax.block_until_ready(run())
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(run())
        times.append(time.perf_counter() - start)
    return times


if __name__ == "__main__":
    main()
