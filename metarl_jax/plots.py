"""Figures of runs; each function returns a matplotlib `Figure`."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator
from numpy.typing import ArrayLike

_SIZE = (5.0, 3.4)  # inches
_LINES = ("-", "--", ":")  # for each ten colours
_MOST_STAGES = 10
_PANELS_A_ROW = 3


def shown_stages(num_stages: int) -> list[int]:
    """All stages or, of many, ten from the first to the last, evenly spread."""
    count = min(num_stages, _MOST_STAGES)
    return [round(stage) for stage in np.linspace(0, num_stages - 1, count)]


def learning_curve(iterations: Sequence[int], returns: np.ndarray) -> Figure:
    """The return at each stage of training trials against meta-iterations.

    Args:
      iterations: [I].
      returns: [S, I, K+1]; a line is the mean over the S seeds, a band their range.
    """
    figure, axes = _figure("meta-iteration", "return on training tasks")
    for k in shown_stages(returns.shape[-1]):
        line = axes.plot(iterations, returns[..., k].mean(0), label=_stage_name(k))[0]
        low, high = returns[..., k].min(0), returns[..., k].max(0)
        axes.fill_between(iterations, low, high, color=line.get_color(), alpha=0.2)
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def learning_curves(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]], unit: str = "environment steps"
) -> Figure:
    """The return after adaptation of several runs against what training has cost.

    Args:
      curves: name -> (cost so far [I], returns [S, I]); a line is the mean over the S
        seeds.
      unit: of the cost.
    """
    means = {
        name: [(steps, np.mean(returns, axis=0))]
        for name, (steps, returns) in curves.items()
    }
    figure, axes = _many_lines(means)
    axes.set(xlabel=unit, ylabel="return after adaptation, training")
    return figure


def returns_against_time(
    curves: Mapping[str, Sequence[tuple[ArrayLike, ArrayLike]]], target: float
) -> Figure:
    """The return on held-out tasks of several runs against wall-clock seconds.

    Args:
      curves: name -> (seconds [I], returns [I]) of each seed.
      target: the return that the runs are to reach, drawn as a level.
    """
    figure, axes = _many_lines(curves, marker=".")
    axes.axhline(target, linestyle="--", color="black", linewidth=1)
    axes.set(xlabel="seconds from a cold start", ylabel="return on held-out tasks")
    axes.set_xlim(left=0)
    return figure


def comparison(rows: Mapping[str, Mapping]) -> Figure:
    """Return on held-out tasks of several learners, a panel for each number of steps.

    Args:
      rows: name -> a summary with `return_by_step` and `interval_by_step`.
    """
    names = list(rows)[::-1]
    steps = shown_stages(max(len(row["return_by_step"]) for row in rows.values()))
    size = 2.6 * len(steps) + 1, 0.25 * len(names) + 1
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(steps), sharey=True, squeeze=False)[0]
    for step, panel in zip(steps, panels, strict=True):
        for place, name in enumerate(names):
            if step < len(rows[name]["return_by_step"]):
                panel.plot(
                    rows[name]["interval_by_step"][step], [place] * 2, color="C0"
                )
                panel.plot(rows[name]["return_by_step"][step], place, "o", color="C0")
        panel.set_title(_stage_name(step))
        panel.grid(alpha=0.3)
    panels[0].set_yticks(range(len(names)), names)
    panels[0].set_ylim(-0.5, len(names) - 0.5)
    figure.supxlabel("return on held-out tasks, with its interval")
    return figure


def adaptation_curve(
    curves: Mapping[str, Mapping],
    references: Mapping[str, Sequence[float]],
    step: str = "adaptation steps",
) -> Figure:
    """Return on held-out tasks against adaptation steps.

    Args:
      curves: name -> a summary with `return_by_step` and `interval_by_step`.
      references: name -> returns by step, drawn dashed; a single one is a level.
      step: what there are more of to the right.
    """
    figure, axes = _figure(step, "return on held-out tasks")
    for name, curve in curves.items():
        steps = np.arange(len(curve["return_by_step"]))
        low, high = np.transpose(curve["interval_by_step"])
        line = axes.plot(steps, curve["return_by_step"], marker="o", label=name)[0]
        axes.fill_between(steps, low, high, color=line.get_color(), alpha=0.2)
        axes.set_xticks(shown_stages(len(steps)))
    for index, (name, values) in enumerate(references.items()):
        color = f"C{len(curves) + index}"
        if len(values) == 1:
            axes.axhline(values[0], linestyle="--", color=color, label=name)
        else:
            axes.plot(values, linestyle="--", marker=".", color=color, label=name)
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def returns_by_task(
    parameters: Mapping[str, ArrayLike],
    returns: np.ndarray,
    oracle: np.ndarray | None = None,
) -> Figure:
    """Return on each held-out task against what the task is, a panel per parameter.

    Args:
      parameters: name -> [M].
      returns: [S, M, K+1]; a point is the mean over the S seeds.
      oracle: of a policy that is told the task, [S, M].
    """
    rows = -(-len(parameters) // _PANELS_A_ROW)
    columns = -(-len(parameters) // rows)
    size = _SIZE[0] * max(1, 0.6 * columns), _SIZE[1] * rows
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for panel, (name, values) in zip(panels, parameters.items(), strict=False):
        for stage in shown_stages(returns.shape[-1]):
            points = returns[..., stage].mean(0)
            panel.plot(values, points, ".", label=_stage_name(stage))
        if oracle is not None:
            panel.plot(values, oracle.mean(0), "kx", markersize=4, label="oracle")
        panel.set_xlabel(name)
        panel.grid(alpha=0.3)
    for panel in panels[len(parameters) :]:
        panel.remove()
    figure.supylabel("return on held-out tasks", fontsize="medium")
    lines, labels = panels[0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside lower center", ncols=1 + columns)
    return figure


def trajectories(
    observations: ArrayLike, lengths: ArrayLike, goals: ArrayLike
) -> Figure:
    """Paths in the plane before and after each adaptation step, a panel per task.

    Args:
      observations: positions [M, K+1, T, E, 2].
      lengths: of the first episode of each row, in steps, [M, K+1, E].
      goals: [M, 2].

    Returns:
      A `Figure` after figure 4 of Finn et al. (2017).
    """
    observations, lengths, goals = map(np.asarray, (observations, lengths, goals))
    num_tasks, num_stages, _, num_rows, _ = observations.shape
    figure = Figure(figsize=(3.0 * num_tasks, 3.2), layout="constrained")
    panels = figure.subplots(1, num_tasks, squeeze=False)[0]
    for task, panel in enumerate(panels):
        for stage in range(num_stages):
            for row in range(num_rows):
                length = lengths[task, stage, row]
                path = observations[task, stage, :length, row]
                label = _stage_name(stage) if row == 0 else None
                panel.plot(*path.T, color=f"C{stage}", alpha=0.7, lw=1, label=label)
        panel.plot(*goals[task], marker="*", color="black", markersize=12, zorder=9)
        panel.set_title(f"goal ({goals[task][0]:.2f}, {goals[task][1]:.2f})")
        panel.set_aspect("equal", adjustable="datalim")
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=num_stages,
    )
    return figure


class ScalingPoint(NamedTuple):
    """One task batch; speeds are in environment steps per second."""

    num_tasks: int
    speed: float
    slowest: float
    fastest: float
    ideal: float
    memory: float  # MB


def scaling(curves: Mapping[str, Sequence[ScalingPoint]]) -> Figure:
    """Environment steps per second, and peak memory, against the task batch.

    Both axes are logarithmic; dotted lines are the ideal speeds.

    Args:
      curves: name -> points with a rising number of tasks.
    """
    figure = Figure(figsize=(2 * _SIZE[0], 1.2 * _SIZE[1]), layout="constrained")
    speed, space = figure.subplots(1, 2)
    for index, (name, points) in enumerate(curves.items()):
        tasks, median, slowest, fastest, ideal, memory = np.transpose(points)
        style = {"color": f"C{index % 10}"}
        speed.plot(tasks, median, marker="o", label=name, **style)
        speed.fill_between(tasks, slowest, fastest, alpha=0.2, **style)
        speed.plot(tasks, ideal, ":", **style)
        space.plot(tasks, memory, marker="o", **style)
    speed.set(ylabel="environment steps per second")
    space.set(ylabel="peak memory (MB)")
    numbers = sorted(
        {point.num_tasks for points in curves.values() for point in points}
    )
    for axes in (speed, space):
        _logarithmic(axes, numbers)
    speed.plot([], [], "k:", label="ideal")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def _logarithmic(axes, num_tasks: Sequence[int]) -> None:
    axes.set(xscale="log", yscale="log", xlabel="tasks of a meta-iteration")
    axes.set_xticks(num_tasks, [str(number) for number in num_tasks])
    axes.xaxis.set_minor_locator(NullLocator())
    low, high = np.log10(axes.get_ylim())
    axes.set_ylim(10 ** np.floor(low), 10 ** np.ceil(high))  # noise looks like noise
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.3, which="both")


def depth(curves: Mapping[str, Sequence[tuple[int, float, float]]]) -> Figure:
    """Memory and time of a meta-gradient against adaptation steps.

    Args:
      curves: name -> (K, MB, seconds) for each K.
    """
    figure = Figure(figsize=(2 * _SIZE[0], _SIZE[1]), layout="constrained")
    space, time = figure.subplots(1, 2)
    for name, points in curves.items():
        steps, memory, seconds = np.transpose(points)
        space.plot(steps, memory, marker="o", label=name)
        time.plot(steps, seconds, marker="o", label=name)
    space.set(ylabel="temporary memory (MB)", ylim=(0, None))
    time.set(ylabel="seconds of a meta-gradient", ylim=(0, None))
    for axes in (space, time):
        axes.set_xlabel("adaptation steps")
        axes.grid(alpha=0.3)
    space.legend()
    return figure


def _many_lines(
    curves: Mapping[str, Sequence[tuple[ArrayLike, ArrayLike]]],
    marker: str | None = None,
):
    """Lines (x [I], y [I]) by name, those of one name alike, with a legend outside."""
    figure = Figure(figsize=(2 * _SIZE[0], 1.5 * _SIZE[1]), layout="constrained")
    axes = figure.subplots()
    for index, (name, lines) in enumerate(curves.items()):
        look = {
            "linestyle": _LINES[index // 10 % len(_LINES)],
            "color": f"C{index % 10}",
            "marker": marker,
            "alpha": 0.8,
        }
        for number, (x, y) in enumerate(lines):
            axes.plot(x, y, label=None if number else name, **look)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right center")
    return figure, axes


def _figure(xlabel: str, ylabel: str):
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.grid(alpha=0.3)
    return figure, axes


def _stage_name(k: int) -> str:
    return "before adaptation" if k == 0 else f"after {k} step{'s' * (k > 1)}"
