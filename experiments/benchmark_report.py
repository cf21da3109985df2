"""A benchmark as people read it: lines of a table, a figure, a comparison."""

import io
from collections import defaultdict
from pathlib import Path

import numpy as np

from experiments.benchmark_results import (
    FIGURE_NAME,
    Combination,
    Results,
    Row,
    columns,
    differences,
    load,
    ratios,
)
from metarl_jax import plots
from metarl_jax.run_files import replace_file

# a name in `columns` -> what the printed table calls it
_PRINTED = {
    "num_tasks": "tasks",
    "tasks_at_once": "at once",
    "devices_in_use": "devices",
    "num_seeds": "seeds",
    "env_steps_per_second": "steps/s",
    "env_steps_per_second_min": "slowest",
    "env_steps_per_second_max": "fastest",
    "iteration_seconds": "iteration",
    "trials_seconds": "trials",
    "collect_seconds": "collect",
    "adapt_seconds": "adapt",
    "gradient_seconds": "gradient",
    "update_seconds": "update",
    "compile_seconds": "compile",
    "host_memory_mb": "host MB",
    "device_memory_mb": "device MB",
    "fraction_of_large_products": "of FLOP/s",
    "fraction_of_memory": "of memory",
}
_NAME_WIDTH, _WIDTH = 20, 11


def heading() -> str:
    """The names of the columns of `line`; times are medians in seconds."""
    cells = [f"{name:>{_WIDTH}}" for name in _PRINTED.values()]
    return f"{'experiment':{_NAME_WIDTH}}" + "".join(cells)


def line(row: Row) -> str:
    """A row of the printed table, or why there is none."""
    name = f"{row.combination.experiment:{_NAME_WIDTH}}"
    if row.measurement is None:
        return f"{name}{row.combination.num_tasks:>{_WIDTH}}  failed: {row.failure}"
    found = columns(row)
    return name + "".join(_cell(found.get(name)) for name in _PRINTED)


def _cell(value: float | None) -> str:
    return f"{'-' if value is None else format(value, '.4g'):>{_WIDTH}}"


def draw(folder: Path, results: Results) -> None:
    """Draws benchmark.png, if anything was measured."""
    if any(row.measurement for row in results.rows):
        image = io.BytesIO()
        plots.scaling(curves(results)).savefig(image, dpi=150)
        replace_file(folder / FIGURE_NAME, image.getvalue())


def curves(results: Results) -> dict[str, list[plots.ScalingPoint]]:
    """The measured rows by all but their number of tasks; see `plots.scaling`."""
    groups = defaultdict(list)
    measured = [row for row in results.rows if row.measurement]
    for row in sorted(measured, key=lambda row: row.combination.num_tasks):
        groups[_curve_name(row.combination, measured)].append(row)
    on_cpu = results.machine["device"]["platform"] == "cpu"
    return {
        name: [_point(row, rows[0], on_cpu) for row in rows]
        for name, rows in groups.items()
    }


def _curve_name(combination: Combination, rows: list[Row]) -> str:
    """The experiment, and those settings that are not the same in all rows."""
    name = combination.experiment
    labels = {"tasks_per_chunk": "at once", "num_devices": "devices"}
    for field, label in (labels | {"num_seeds": "seeds"}).items():
        if len({getattr(row.combination, field) for row in rows}) > 1:
            name += f", {getattr(combination, field)} {label}"
    return name


def _point(row: Row, first: Row, on_cpu: bool) -> plots.ScalingPoint:
    found = row.measurement
    speed = found.steps_per_second
    return plots.ScalingPoint(
        num_tasks=row.combination.num_tasks,
        speed=float(np.median(speed)),
        slowest=float(speed.min()),
        fastest=float(speed.max()),
        ideal=_ideal(row, first, on_cpu),
        memory=found.device_memory_mb or found.host_memory_mb,
    )


def _ideal(row: Row, first: Row, on_cpu: bool) -> float:
    """Steps per second if nothing were lost from the first point on.

    On a CPU that does the tasks one after another a task always costs the same. An
    accelerator does twice the tasks in the same time, up to what its measured rates
    allow.
    """
    speed = float(np.median(first.measurement.steps_per_second))
    if on_cpu:
        return speed
    proportional = speed * row.combination.num_tasks / first.combination.num_tasks
    return min(proportional, row.measurement.roofline or proportional)


def print_comparison(new: Results, path: Path) -> None:
    """Prints the ratios of steps per second to those in a saved file."""
    for text in comparison(new, load(path), str(path)):
        print(text)


def comparison(new: Results, old: Results, name: str) -> list[str]:
    """Lines: what else differs, and the ratio of each row that both have.

    Args:
      new: results.
      old: results.
      name: of the old ones.
    """
    lines = [f"steps/s against {name}: ratio, 95% interval over repeats"]
    other = _other_causes(new, old)
    if other:
        lines.append("not only the code differs, so a ratio may have other causes:")
        lines += [f"  {text}" for text in other]
    if _fewest_repeats(new, old) < 5:
        lines.append("of less than 5 repeats, for which the intervals are too narrow:")
    found = ratios(new, old)
    for ratio in found:
        interval = f"[{ratio.low:.3f}, {ratio.high:.3f}]"
        lines.append(f"  {_label(ratio.combination)}: {ratio.value:.3f} {interval}")
    missing = len([row for row in new.rows if row.measurement]) - len(found)
    if missing:
        lines.append(f"  {missing} rows have no counterpart in {name}")
    return lines


def _fewest_repeats(*results: Results) -> int:
    measured = [row.measurement for each in results for row in each.rows]
    return min(len(each.steps_per_second) for each in measured if each)


def _other_causes(new: Results, old: Results) -> list[str]:
    """What differs in machine, versions and settings; the commit is the code."""
    machines = [
        {key: value for key, value in results.machine.items() if key != "git"}
        for results in (new, old)
    ]
    found = differences(*machines)
    for name in sorted(new.experiments.keys() & old.experiments.keys()):
        found += differences(new.experiments[name], old.experiments[name], name)
    return found


def _label(combination: Combination) -> str:
    chunk = combination.tasks_per_chunk or "default"
    devices = combination.num_devices or "all"
    return (
        f"{combination.experiment}, {combination.num_tasks} tasks, {chunk} at once, "
        f"{devices} devices, {combination.num_seeds} seeds"
    )
