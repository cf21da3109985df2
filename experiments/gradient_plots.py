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
    """Paths of two parameters in the plane; paths are [seeds, iterations + 1, 2].

    One panel shows all paths, a panel each the steps of the first seed.
    """
    figure = Figure(figsize=(4.2 * (1 + len(paths)), 4.2), layout="constrained")
    panels = figure.subplots(1, 1 + len(paths))
    for number, (name, path) in enumerate(paths.items()):
        color = {"color": f"C{number}"}
        for seed, line in enumerate(path):
            label = name if seed == 0 else None
            panels[0].plot(*line.T, lw=1, alpha=0.7, label=label, **color)
        panel, first = panels[1 + number], path[0]
        arrows = dict(angles="xy", scale_units="xy", scale=1, width=0.004)
        panel.quiver(*first[:-1].T, *np.diff(first, axis=0).T, **arrows, **color)
        panel.set_title(f"{name}: steps of one seed")
    panels[0].set_title("all seeds")
    for panel in panels:
        panel.plot(0, 0, marker="*", color="black", markersize=12, label="optimum")
        panel.set(xlabel="theta_0", ylabel="theta_1")
        panel.grid(alpha=0.3)
    panels[0].legend()
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
                    style = {"marker": "o", "markersize": 4, "color": f"C{number}"}
                    axes.plot(*zip(*points, strict=True), label=name, **style)
            axes.grid(alpha=0.3)
            if log:
                axes.set_xscale("log")
            if measure != "cosine":
                axes.set_yscale("log")
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
