"""Figures of what adaptation changed; each function returns a matplotlib `Figure`."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike


def layers(change: Mapping[str, ArrayLike], cka: Mapping[str, ArrayLike]) -> Figure:
    """Relative change and similarity per layer, after each adaptation step.

    Args:
      change: layer -> [M, K]; a bar is the mean over M tasks, a whisker their standard
        deviation.
      cka: likewise.
    """
    figure = Figure(figsize=(10.0, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, values, label in (
        (left, change, "relative change of parameters"),
        (right, cka, "linear CKA with before adaptation"),
    ):
        names = list(values)
        num_steps = np.shape(values[names[0]])[1]
        width = 0.8 / num_steps
        for k in range(num_steps):
            columns = np.stack([np.asarray(values[name])[:, k] for name in names])
            place = np.arange(len(names)) + (k - (num_steps - 1) / 2) * width
            label_k = f"after {k + 1} step{'s' * (k > 0)}"
            axes.bar(place, columns.mean(1), width, yerr=columns.std(1), label=label_k)
        axes.set_xticks(np.arange(len(names)), names)
        axes.set_ylabel(label)
        axes.grid(alpha=0.3, axis="y")
    right.set_ylim(0, 1.05)
    left.legend()
    return figure


def policies(
    grid: ArrayLike,
    before: Sequence[ArrayLike],
    after: Sequence[ArrayLike],
    kl: Sequence[ArrayLike],
    titles: Sequence[str],
) -> Figure:
    """The most likely action by state before and after adaptation, a column per task.

    Args:
      grid: states [G, G, 2].
      before: for each task actions [G, G, 2].
      after: for each task actions [G, G, 2].
      kl: for each task KL(after || before) [G, G], in nats, as the background.
      titles: of the tasks.
    """
    grid = np.asarray(grid)
    count = len(titles)
    figure = Figure(figsize=(3.2 * count + 0.6, 3.4), layout="constrained")
    panels = figure.subplots(1, count, squeeze=False)[0]
    for index, panel in enumerate(panels):
        image = panel.pcolormesh(
            grid[..., 0],
            grid[..., 1],
            np.log10(np.asarray(kl[index]) + 1e-3),
            cmap="Greys",
            shading="nearest",
            vmin=0,
            vmax=3,
        )
        for actions, color in ((before[index], "C0"), (after[index], "C1")):
            panel.quiver(
                grid[..., 0],
                grid[..., 1],
                *np.moveaxis(np.asarray(actions), -1, 0),
                color=color,
                angles="xy",
                width=0.006,
            )
        panel.set_title(titles[index])
        panel.set_aspect("equal")
    figure.suptitle("most likely action: blue before adaptation, orange after")
    figure.colorbar(image, ax=panels, label="log10 KL (nats)")
    return figure


def landscape(offsets: ArrayLike, values: ArrayLike) -> Figure:
    """Return after adaptation [G, G] around the meta-parameters in the centre."""
    figure = Figure(figsize=(5.0, 4.0), layout="constrained")
    axes = figure.subplots()
    contours = axes.contourf(offsets, offsets, np.asarray(values).T, levels=20)
    axes.plot(0, 0, marker="*", color="white", markersize=12)
    axes.set(xlabel="first random direction", ylabel="second random direction")
    figure.colorbar(contours, ax=axes, label="return after adaptation")
    return figure
