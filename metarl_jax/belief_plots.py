"""Figures of beliefs over tasks; each function returns a matplotlib `Figure`."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

_MOST_PANELS = 3


def goals_over_time(
    learned: ArrayLike,
    exact: ArrayLike,
    path: ArrayLike,
    steps: Sequence[int],
    distances: ArrayLike,
) -> Figure:
    """Beliefs over the goal on a grid at chosen steps, the exact ones below.

    Args:
      learned: probabilities of the cells (x, y) at each step, [L, G, G].
      exact: likewise.
      path: the cells in which the agent acts, [L, 2].
      steps: those to draw, numbers below L.
      distances: total variation at each step, [L].

    Returns:
      A `Figure` after figure 4 of Zintgraf et al. (2020).
    """
    path = np.asarray(path)
    size = 1.5 * len(steps) + 1.2, 3.8
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(2, len(steps), squeeze=False)
    for column, step in enumerate(steps):
        for panel, belief in zip(panels[:, column], (learned, exact), strict=True):
            cells = np.asarray(belief)[step].T
            image = panel.imshow(cells, origin="lower", cmap="Blues", vmin=0, vmax=1)
            panel.plot(*path[: step + 1].T, color="C1", linewidth=1.5)
            panel.plot(*path[step], "o", color="C1")
            panel.set(xticks=[], yticks=[])
        distance = np.asarray(distances)[step]
        panels[0, column].set_title(f"step {step}\nTV {distance:.2f}", fontsize=9)
    panels[0, 0].set_ylabel("learned")
    panels[1, 0].set_ylabel("exact")
    figure.colorbar(image, ax=panels, label="probability of the goal")
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
    for axis, part in zip("xy", parts, strict=True):
        label = f"{'first' if axis == 'x' else 'second'} direction ({part:.0%})"
        panels[0].set(**{f"{axis}label": label})
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
