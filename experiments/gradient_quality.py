"""python -m experiments.gradient_quality --out DIR: estimators against the truth.

On random tabular MDPs, whose exact derivatives are known: the bias, standard deviation
and agreement of each estimator's policy gradient, Hessian and meta-gradient, as the
number of trajectories grows and as the data goes off-policy. Prints tables; --out DIR
saves gradient_quality.csv, .json, .md and figures.
"""

import csv
import dataclasses
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from experiments import cli
from metarl_jax import platform
from metarl_jax.checks import require, require_seeds
from metarl_jax.run_files import make_folder

QUANTITIES = ("policy_gradient", "hessian", "meta_gradient")


@dataclasses.dataclass(frozen=True)
class Options:
    """What is measured."""

    num_mdps: int = 3
    num_repeats: int = 12  # R, independent estimates in each MDP
    trajectories: str = "20,128,1024,8192"  # E, separated by commas
    off_policy: str = "0.25,0.5,1"  # standard deviations of the behaviour's logits
    off_policy_trajectories: int = 1024  # E of the off-policy data
    num_states: int = 10  # S
    num_actions: int = 5  # A
    horizon: int = 10  # T
    discount: float = 1.0  # gamma
    step_size: float = 10.0  # alpha of the adaptation step, on the loss -J / T
    trace_decay: float = 0.9  # of loaded_dice alone; the others have 1
    credit_decay: float = 0.9  # of loaded_dice
    evolution_std: float = 0.1  # of the noise in logits of evolution strategies
    seed: int = 0
    out: Path | None = None  # a folder for tables and figures


class Case(NamedTuple):
    """One setting of the data."""

    num_trajectories: int  # E
    off_policy: float  # 0: the data is of the policy itself


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of the results; lengths are relative to the exact one, means over MDPs."""

    estimator: str
    quantity: str
    num_trajectories: int
    off_policy: float
    bias: float
    standard_error: float
    std: float
    cosine: float
    correlation: float


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    with cli.clear_errors():
        options = checked(
            cli.parse(Options, "python -m experiments.gradient_quality", arguments)
        )
        if options.out:
            make_folder(options.out)
    platform.configure()
    start = time.perf_counter()
    rows = measure(options)
    print(markdown(rows))
    print(f"{time.perf_counter() - start:.0f} s")
    if options.out:
        save(options.out, options, rows)
        print(f"tables and figures: {options.out}")


def checked(options: Options) -> Options:
    """Raises ValueError, in one line, for what cannot be measured."""
    require_seeds(options.seed)
    at_least = {"num_mdps": 1, "num_repeats": 2, "num_states": 1, "num_actions": 2}
    at_least |= {"horizon": 1, "off_policy_trajectories": 2}
    for name, least in at_least.items():
        value = getattr(options, name)
        require(value >= least, f"{_flag(name)} must be {least} or more, not {value}")
    for name in ("discount", "trace_decay", "credit_decay"):
        value = getattr(options, name)
        require(0 <= value <= 1, f"{_flag(name)} must be from 0 to 1, not {value}")
    for name in ("step_size", "evolution_std"):
        value = getattr(options, name)
        require(0 < value < 1e6, f"{_flag(name)} must be above 0, not {value}")
    sizes = _numbers("trajectories", options.trajectories, least=2)
    whole = all(size == int(size) for size in sizes)
    require(whole, f"--trajectories takes whole numbers, not {options.trajectories}")
    shifts = _numbers("off_policy", options.off_policy, least=0)
    require(min(shifts) > 0, "--off-policy takes numbers above 0: 0 is measured anyway")
    return options


def cases(options: Options) -> list[Case]:
    """All settings of the data, on-policy ones first."""
    sizes = [int(n) for n in _numbers("trajectories", options.trajectories, 2)]
    shifts = _numbers("off_policy", options.off_policy, 0)
    on_policy = [Case(size, 0.0) for size in sizes]
    return on_policy + [
        Case(options.off_policy_trajectories, shift) for shift in shifts
    ]


def measure(options: Options) -> list[Row]:
    """Runs all cases, and prints how far it is."""
    from experiments.gradient_estimates import estimates, problems, truth
    from metarl_jax.gradient_quality import Quality, quality

    rows = []
    todo = [(case, i) for case in cases(options) for i in range(options.num_mdps)]
    found = {}
    for case, i in _with_progress(todo):
        problem = problems(options, case.off_policy)[i]
        exact = truth(options, problem)
        for (name, quantity), values in estimates(options, case, problem, i).items():
            found.setdefault((name, quantity, *case), []).append(
                quality(values, exact[quantity])
            )
    for key, qualities in found.items():
        mean = Quality(*(sum(x) / len(x) for x in zip(*qualities, strict=True)))
        rows.append(Row(*key, **mean._asdict()))
    return rows


def markdown(rows: list[Row]) -> str:
    """A table for each quantity, in Markdown."""
    tables = []
    for quantity in QUANTITIES:
        lines = [
            f"**{quantity.replace('_', ' ')}**\n",
            "| estimator | trajectories | off-policy "
            "| bias | its error | std | cosine | correlation |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for row in rows:
            if row.quantity == quantity:
                numbers = [row.bias, row.standard_error, row.std]
                numbers += [row.cosine, row.correlation]
                cells = [row.estimator, row.num_trajectories, row.off_policy]
                cells += [f"{number:.3f}" for number in numbers]
                lines.append(f"| {' | '.join(map(str, cells))} |")
        tables.append("\n".join(lines))
    return "\n\n".join(tables)


def save(folder: Path, options: Options, rows: list[Row]) -> None:
    """Writes the tables, with what made them, and the figures."""
    from experiments.gradient_plots import growing_data, off_policy_data

    records = [dataclasses.asdict(row) for row in rows]
    settings = dataclasses.asdict(options) | {"out": str(options.out)}
    with (folder / "gradient_quality.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(records[0]))
        writer.writeheader()
        writer.writerows(records)
    content = json.dumps({"options": settings, "rows": records}, indent=1)
    (folder / "gradient_quality.json").write_text(content + "\n")
    (folder / "gradient_quality.md").write_text(markdown(rows) + "\n")
    growing_data(rows).savefig(folder / "gradient_quality.png", dpi=150)
    off_policy_data(rows).savefig(folder / "gradient_quality_off_policy.png", dpi=150)


def _with_progress(todo: list[tuple[Case, int]]) -> Iterator[tuple[Case, int]]:
    """Goes over the work, and says after each part how much time is left."""
    start, done = time.perf_counter(), 0.0
    cost = lambda case: case.num_trajectories + 1000  # a part of it is fixed
    total = sum(cost(case) for case, _ in todo)
    for number, (case, i) in enumerate(todo, 1):
        yield case, i
        done += cost(case)
        left = (time.perf_counter() - start) * (total - done) / done
        print(
            f"{number}/{len(todo)}: {case.num_trajectories} trajectories, off-policy "
            f"{case.off_policy:g}, MDP {i}; about {left:.0f} s left",
            flush=True,
        )


def _numbers(name: str, text: str, least: float) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    valid = numbers and all(least <= number < 1e9 for number in numbers)
    message = f"{_flag(name)} takes numbers from {least} on like 20,128, not {text}"
    require(valid, message)
    return numbers


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


if __name__ == "__main__":
    main()
