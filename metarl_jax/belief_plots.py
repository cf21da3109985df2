"""Figures of beliefs over tasks; each function returns a matplotlib `Figure`."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

_MOST_PANELS = 3


class GoalPanel(NamedTuple):
    """Beliefs over the goal when the agent acts at one step of a trial."""

    step: int
    learned: ArrayLike  # [G, G]; probabilities of the cells (x, y)
    exact: ArrayLike  # [G, G]
    path: ArrayLike  # [steps, 2]; the cells of this episode so far
    distance: float  # total variation


def goals_over_time(panels: Sequence[GoalPanel]) -> Figure:
    """Beliefs over the goal on a grid at some steps, the exact ones below.

    Returns:
      A `Figure` after that of the gridworld's beliefs in Zintgraf et al. (2020).
    """
    count = len(panels)
    figure = Figure(figsize=(1.5 * count + 1.2, 3.8), layout="constrained")
    axes = figure.subplots(2, count, squeeze=False)
    for column, panel in enumerate(panels):
        path = np.asarray(panel.path)
        beliefs = panel.learned, panel.exact
        for axis, belief in zip(axes[:, column], beliefs, strict=True):
            image = axis.imshow(
                np.transpose(belief), origin="lower", cmap="Blues", vmin=0, vmax=1
            )
            axis.plot(*path.T, color="C1", linewidth=1.5)
            axis.plot(*path[-1], "o", color="C1")
            axis.set(xticks=[], yticks=[])
        title = f"step {panel.step}\nTV {panel.distance:.2f}"
        axes[0, column].set_title(title, fontsize=9)
    axes[0, 0].set_ylabel("learned")
    axes[1, 0].set_ylabel("exact")
    figure.colorbar(image, ax=axes, label="probability of the goal")
    return figure


def embeddings(plane: ArrayLike, parts: ArrayLike, parameters: ArrayLike) -> Figure:
    """Tasks by what is believed of them, a panel for each of the first parameters.

    Args:
      plane: means of beliefs along two directions, [M, 2].
      parts: of the variance along them, [2].
      parameters: that colour the points, [M, P].
    """
    plane, parameters = np.asarray(plane), np.asarray(parameters)
    count = min(parameters.shape[1], _MOST_PANELS)
    figure = Figure(figsize=(4.2 * count, 3.6), layout="constrained")
    panels = figure.subplots(1, count, squeeze=False)[0]
    for index, panel in enumerate(panels):
        points = panel.scatter(*plane.T, c=parameters[:, index], s=14, cmap="viridis")
        figure.colorbar(points, ax=panel, label=f"task parameter {index}")
        panel.grid(alpha=0.3)
    panels[0].set(
        xlabel=f"first direction ({parts[0]:.0%} of the variance)",
        ylabel=f"second direction ({parts[1]:.0%})",
    )
    return figure


def reading(r_squared: ArrayLike, spread: ArrayLike) -> Figure:
    """What a probe reads, and how wide the belief is, as data comes in.

    Args:
      r_squared: by parameter, [K+1, T, P].
      spread: the mean standard deviation of beliefs, [K+1, T].
    """
    r_squared, spread = np.asarray(r_squared), np.asarray(spread)
    num_stages, num_steps, count = r_squared.shape
    steps = np.arange(num_stages * num_steps)
    figure = Figure(figsize=(7.0, 5.0), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True)
    for index in range(min(count, _MOST_PANELS)):
        values = r_squared[..., index].ravel()
        top.plot(steps, values, label=f"task parameter {index}")
    top.plot(steps, np.nanmean(r_squared, axis=-1).ravel(), "k--", label="mean")
    bottom.plot(steps, spread.ravel())
    for axes in (top, bottom):
        axes.grid(alpha=0.3)
        for stage in range(1, num_stages):
            axes.axvline(stage * num_steps - 0.5, color="grey", linewidth=0.8)
    top.set(ylabel="R² of a linear probe", ylim=(-0.1, 1.05))
    bottom.set(ylabel="standard deviation", xlabel="step of the trial", ylim=(0, None))
    top.legend()
    return figure
