"""What a benchmark measured: rows, files of them, and a comparison of two files."""

import csv
import dataclasses
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cattrs
import numpy as np

from metarl_jax.run_files import replace_file, write_json
from metarl_jax.statistics import ratio_interval

JSON_NAME = "benchmark.json"
CSV_NAME = "benchmark.csv"
FIGURE_NAME = "benchmark.png"

# the timed programs, in the order of the columns; a method may lack some of them
PARTS = ("iteration", "trials", "collect", "adapt", "gradient", "update")


@dataclasses.dataclass(frozen=True)
class Combination:
    """What was asked for: rows of two results match where these are equal."""

    experiment: str
    num_tasks: int  # N
    tasks_per_chunk: int | None  # None: the platform's choice
    num_devices: int | None  # None: as many as divide num_tasks
    num_seeds: int

    def of(self, experiment: Any) -> Any:
        """The `Experiment` with these sizes."""
        sizes = dataclasses.asdict(self)
        del sizes["experiment"]
        training = dataclasses.replace(experiment.training, **sizes)
        return dataclasses.replace(experiment, training=training)


@dataclasses.dataclass(frozen=True)
class Measurement:
    """What was found; bytes and operations are of one meta-iteration of all seeds."""

    devices_in_use: int
    tasks_at_once: int  # on each device
    env_steps: int  # of one meta-iteration of all seeds
    # part -> seconds of each repeat; of one meta-iteration
    seconds: dict[str, list[float]]
    trace_seconds: float  # of the program of whole meta-iterations
    lower_seconds: float
    compile_seconds: float
    host_memory_mb: float  # peak of the process, the compiler included
    device_memory_mb: float | None  # peak of one accelerator
    program_memory_mb: float  # temporaries of the program on each device, as XLA says
    flops: float | None  # None: no formula is known
    traffic: float | None  # bytes of trials
    large_products: float  # FLOP/s of the machine
    own_products: float | None  # FLOP/s of the machine, in the policy's shapes
    memory: float  # bytes/s of the machine

    @property
    def steps_per_second(self) -> np.ndarray:
        """Environment steps per second of whole meta-iterations, in each repeat."""
        return self.env_steps / np.array(self.seconds["iteration"])

    @property
    def fractions(self) -> dict[str, float | None]:
        """Of the measured rates, those that whole meta-iterations reach."""
        flops, traffic, own = self.flops, self.traffic, self.own_products
        median = float(np.median(self.seconds["iteration"]))
        return {
            "of_large_products": flops and flops / median / self.large_products,
            "of_own_products": own and flops and flops / median / own,
            "of_memory": traffic and traffic / median / self.memory,
        }

    @property
    def roofline(self) -> float | None:
        """Environment steps per second that the measured rates allow at the most."""
        if self.flops is None or self.traffic is None:
            return None
        least = max(self.flops / self.large_products, self.traffic / self.memory)
        return self.env_steps / least


@dataclasses.dataclass(frozen=True)
class Row:
    """One combination: measured, or why not."""

    combination: Combination
    measurement: Measurement | None
    failure: str | None = None


@dataclasses.dataclass(frozen=True)
class Results:
    """Everything about one benchmark."""

    machine: dict[str, Any]
    experiments: dict[str, dict[str, Any]]  # name -> configuration
    rows: list[Row]


def save(folder: Path, results: Results) -> None:
    """Writes benchmark.json and benchmark.csv, each as a whole."""
    write_json(folder / JSON_NAME, cattrs.unstructure(results))
    text = io.StringIO(newline="")
    table = [columns(row) for row in results.rows]
    names = dict.fromkeys(name for line in table for name in line)
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    writer.writerows(table)
    replace_file(folder / CSV_NAME, text.getvalue().encode())


def load(path: Path) -> Results:
    """The results in a file.

    Raises:
      FileNotFoundError: if there is none.
      ValueError: if the file does not hold results of this version.
    """
    try:
        return cattrs.structure(json.loads(path.read_text()), Results)
    except (cattrs.BaseValidationError, UnicodeDecodeError, ValueError):
        raise ValueError(
            f"{path} holds no results of this version: name a {JSON_NAME}"
        ) from None


def columns(row: Row) -> dict[str, Any]:
    """A row as named numbers; see docs/performance.md for what they mean."""
    named = dataclasses.asdict(row.combination)
    found = row.measurement
    if found is None:
        return named | {"failure": row.failure}
    plain = dataclasses.asdict(found)
    del plain["seconds"]
    named |= _spread("env_steps_per_second", found.steps_per_second)
    for part in PARTS:
        if part in found.seconds:
            named |= _spread(f"{part}_seconds", found.seconds[part])
    fractions = {f"fraction_{name}": x for name, x in found.fractions.items()}
    return named | plain | fractions


def _spread(name: str, values: Any) -> dict[str, float]:
    quarter, median, three_quarters = np.percentile(values, [25, 50, 75]).tolist()
    return {
        name: median,
        f"{name}_min": float(np.min(values)),
        f"{name}_max": float(np.max(values)),
        f"{name}_iqr": three_quarters - quarter,
    }


@dataclasses.dataclass(frozen=True)
class Ratio:
    """Steps per second, new to old, with a 95% interval."""

    combination: Combination
    value: float
    low: float
    high: float


def ratios(new: Results, old: Results) -> list[Ratio]:
    """Of the medians, for each combination that both results measured."""
    speeds = {row.combination: row.measurement for row in old.rows if row.measurement}
    found = []
    for row in new.rows:
        if row.measurement and row.combination in speeds:
            before = speeds[row.combination].steps_per_second
            after = row.measurement.steps_per_second
            value = float(np.median(after) / np.median(before))
            low, high = ratio_interval(after, before).tolist()
            found.append(Ratio(row.combination, value, low, high))
    return found


def differences(new: Mapping, old: Mapping, name: str = "") -> list[str]:
    """Lines `name: new, was old` for the entries of nested mappings that differ."""
    lines = []
    for key in dict.fromkeys([*new, *old]):
        after, before = new.get(key), old.get(key)
        path = f"{name}.{key}" if name else str(key)
        if isinstance(after, Mapping) and isinstance(before, Mapping):
            lines += differences(after, before, path)
        elif after != before:
            lines.append(f"{path}: {after}, was {before}")
    return lines
