"""Figures of `experiments.gradient_quality` and `experiments.formulations`."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

_TITLES = {
    "policy_gradient": "policy gradient",
    "hessian": "Hessian",
    "meta_gradient": "meta-gradient",
}


def growing_data(rows: Sequence) -> Figure:
    """Bias, standard deviation and cosine against the number of trajectories."""
    rows = [row for row in rows if row.off_policy == 0]
    return _panels(rows, "num_trajectories", "trajectories", log=True)


def off_policy_data(rows: Sequence) -> Figure:
    """The same against the distance between the policy and who collected the data."""
    size = next((r.num_trajectories for r in rows if r.off_policy > 0), None)
    last = [row for row in rows if row.num_trajectories == size]
    moved = {row.estimator for row in last if row.off_policy > 0}
    last = [row for row in last if row.estimator in moved]
    label = "standard deviation of the behaviour's logits"
    return _panels(last, "off_policy", label, log=False)


def parameter_paths(paths: Mapping[str, np.ndarray]) -> Figure:
    """Paths of two parameters, a panel each: `name -> [seeds, iterations + 1, 2]`.

    Arrows are the steps of the first seed. Mind the scales, which differ.
    """
    figure = Figure(figsize=(4.2 * len(paths), 4.2), layout="constrained")
    panels = figure.subplots(1, len(paths), squeeze=False)[0]
    arrows = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.005}
    for number, (panel, name) in enumerate(zip(panels, paths, strict=True)):
        first, *others = paths[name]
        for line in others:
            panel.plot(*line.T, lw=0.7, alpha=0.5, color="gray")
        steps = np.diff(first, axis=0)
        panel.quiver(*first[:-1].T, *steps.T, color=f"C{number}", zorder=3, **arrows)
        panel.plot(*first[0], marker="o", color="black", zorder=4)
        panel.plot(0, 0, marker="*", color="black", markersize=12, zorder=4)
        panel.set(title=name, xlabel="theta_0", ylabel="theta_1")
        panel.grid(alpha=0.3)
    return figure


def _panels(rows: Sequence, x: str, label: str, log: bool) -> Figure:
    figure = Figure(figsize=(12, 9), layout="constrained")
    grid = figure.subplots(3, 3, sharex=True)
    names = list(dict.fromkeys(row.estimator for row in rows))
    for column, (quantity, title) in enumerate(_TITLES.items()):
        for line, measure in enumerate(("bias", "std", "cosine")):
            axes = grid[line, column]
            for number, name in enumerate(names):
                own = [r for r in rows if (r.estimator, r.quantity) == (name, quantity)]
                points = [(getattr(r, x), getattr(r, measure)) for r in own]
                if points:
                    style = "o--" if number % 2 else "o-"  # some lines coincide
                    settings = {"markersize": 4, "color": f"C{number}", "label": name}
                    axes.plot(*zip(*points, strict=True), style, **settings)
            axes.grid(alpha=0.3)
            if log:
                axes.set_xscale("log")
            if measure != "cosine":
                axes.set_yscale("log")
                axes.set_ylim(bottom=max(axes.get_ylim()[0], 3e-3))
            if column == 0:
                axes.set_ylabel(
                    measure + ("" if measure == "cosine" else " (relative)")
                )
        grid[0, column].set_title(title)
        grid[-1, column].set_xlabel(label)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    more = grid[0, 2].get_legend_handles_labels()
    both = dict(zip(labels + more[1], handles + more[0], strict=True))
    figure.legend(both.values(), both.keys(), loc="outside lower center", ncols=4)
    return figure
