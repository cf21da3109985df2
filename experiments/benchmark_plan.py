"""What a benchmark is asked to measure, checked before anything is compiled."""

import dataclasses
import itertools
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, NamedTuple

import tyro

import experiments
from experiments import benchmark_results, cli
from experiments.benchmark_results import JSON_NAME, Combination
from experiments.experiment import Experiment, build
from experiments.run_directory import claim
from metarl_jax.checks import require


@dataclasses.dataclass(frozen=True)
class Options:
    """Measures an experiment, each combination of the lists in a process of its own."""

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    tasks: str = "20,40,80,160"  # task batches N, separated by commas
    # the next three, separated by commas, are those of `training` unless given
    chunk_sizes: str | None = None  # tasks that a device handles at once
    devices: str | None = None  # how many to spread tasks over
    seeds: str | None = None  # how many to train at once
    repeats: int = 5  # timed runs of training.iterations_per_chunk iterations
    out: Path | None = None  # a new folder; by default runs/benchmark_TIME
    against: Path | None = None  # benchmark.json of an earlier benchmark


class Plan(NamedTuple):
    """What is measured, and where the results go."""

    experiments: dict[str, Experiment]
    combinations: list[Combination]
    repeats: int
    out: Path
    against: Path | None


def prepare(names: Sequence[str], arguments: Sequence[str]) -> Plan:
    """Reads the command line, and checks it as far as this process can.

    Raises:
      ValueError: for an option or a value that one of the experiments does not take.
    """
    repeated = {name for name in names if names.count(name) > 1}
    require(not repeated, f"{', '.join(repeated)} is named twice: name it once")
    options = {name: _options(name, arguments) for name in names}
    shared = options[names[0]]
    require(shared.repeats > 0, f"--repeats must be 1 or more, not {shared.repeats}")
    combinations = [
        combination
        for name in names
        for combination in _combinations(name, options[name])
    ]
    for combination in combinations:
        _check(options[combination.experiment].experiment, combination)
    if shared.against:
        benchmark_results.load(shared.against)
    return Plan(
        {name: options[name].experiment for name in names},
        combinations,
        shared.repeats,
        _new_folder(shared.out),
        shared.against,
    )


def _options(name: str, arguments: Sequence[str]) -> Options:
    return cli.parse(
        Options,
        f"python -m experiments.benchmark {name}",
        arguments,
        default=Options(experiments.load(name)),
    )


def _combinations(name: str, chosen: Options) -> list[Combination]:
    """Seeds, devices and chunk sizes in the outer loops, task batches in the inner."""
    training = chosen.experiment.training
    axes = itertools.product(
        _numbers("--seeds", chosen.seeds) or [training.num_seeds],
        _numbers("--devices", chosen.devices) or [training.num_devices],
        _numbers("--chunk-sizes", chosen.chunk_sizes) or [training.tasks_per_chunk],
        _numbers("--tasks", chosen.tasks),
    )
    return [
        Combination(name, num_tasks, chunk, devices, seeds)
        for seeds, devices, chunk, num_tasks in axes
    ]


def _numbers(option: str, text: str | None) -> list[int]:
    if text is None:
        return []
    parts = text.split(",")
    valid = all(part.isdecimal() and int(part) > 0 for part in parts)
    require(valid, f"{option} takes numbers like 1,2,4, not {text}")
    return list(dict.fromkeys(map(int, parts)))


def _check(experiment: Experiment, combination: Combination) -> None:
    """Raises ValueError if the combination cannot be; builds it without devices."""
    tasks, devices = combination.num_tasks, combination.num_devices or 1
    require(
        tasks % devices == 0,
        f"{devices} devices do not divide {tasks} tasks evenly: change --tasks or "
        "--devices",
    )
    build(dataclasses.replace(combination, num_devices=None).of(experiment))


def _new_folder(folder: Path | None) -> Path:
    time = datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = folder or claim(Path("runs") / f"benchmark_{time}")
    holds = (folder / JSON_NAME).exists()
    require(not holds, f"{folder} holds a benchmark: choose another --out")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
