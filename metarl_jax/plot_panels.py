"""Figures with a panel for each family of tasks; each returns a matplotlib `Figure`."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

_SIZE = (3.6, 3.0)  # inches, of a panel


def learning_panels(
    curves: Mapping[str, Mapping[str, tuple[ArrayLike, ArrayLike]]],
) -> Figure:
    """The return of several agents in training, by family.

    Args:
      curves: family -> agent -> (environment steps [I], returns [S, I]); a line is the
        mean over the S seeds, a band their range.
    """

    def draw(axes: Axes, color: str, curve: tuple[ArrayLike, ArrayLike]):
        steps, returns = map(np.asarray, curve)
        axes.fill_between(steps, returns.min(0), returns.max(0), color=color, alpha=0.2)
        return axes.plot(steps, returns.mean(0), color=color)[0]

    return _panels(curves, draw, "environment steps", "return in training")


def adaptation_panels(rows: Mapping[str, Mapping[str, Mapping]]) -> Figure:
    """Return on held-out tasks against adaptation steps, by family.

    Args:
      rows: family -> agent -> a summary with `return_by_step` and `interval_by_step`;
        an agent that does not adapt is a level.
    """

    def draw(axes: Axes, color: str, row: Mapping):
        returns = np.array(row["return_by_step"])
        if len(returns) == 1:
            return axes.axhline(returns[0], linestyle="--", color=color)
        steps = np.arange(len(returns))
        axes.fill_between(
            steps, *np.transpose(row["interval_by_step"]), color=color, alpha=0.2
        )
        axes.set_xticks(steps)
        return axes.plot(steps, returns, marker="o", color=color)[0]

    return _panels(rows, draw, "adaptation steps", "return on held-out tasks")


def _panels(
    families: Mapping[str, Mapping[str, Any]],
    draw: Callable[[Axes, str, Any], Any],
    xlabel: str,
    ylabel: str,
) -> Figure:
    """A panel for each family, in which each agent has the same colour."""
    names = list(dict.fromkeys(name for each in families.values() for name in each))
    size = _SIZE[0] * len(families), _SIZE[1] + 0.4
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(families), squeeze=False)[0]
    lines = {}
    for panel, (family, agents) in zip(panels, families.items(), strict=True):
        for name, values in agents.items():
            lines[name] = draw(panel, f"C{names.index(name)}", values)
        panel.set_title(family)
        panel.grid(alpha=0.3)
    figure.legend(
        lines.values(), lines.keys(), loc="outside upper center", ncols=len(lines) or 1
    )
    figure.supxlabel(xlabel)
    figure.supylabel(ylabel)
    return figure
