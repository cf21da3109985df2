"""Figures of runs: what they show of trials with many stages."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from metarl_jax import plots


@pytest.mark.parametrize(
    ("num_stages", "shown"),
    [(0, []), (1, [0]), (10, list(range(10))), (100, list(range(0, 100, 11)))],
)
def test_of_many_stages_ten_are_shown(num_stages, shown):
    assert plots.shown_stages(num_stages) == shown


def test_learning_curve_of_a_hundred_episodes_has_lines_from_the_first_to_the_last():
    returns = np.tile(np.arange(100.0), (2, 3, 1))  # two seeds, three iterations
    (axes,) = plots.learning_curve(range(3), returns).axes
    heights = [line.get_ydata()[0] for line in axes.get_lines()]
    assert heights == list(range(0, 100, 11))


def test_adaptation_curve_of_a_hundred_steps_has_ten_ticks():
    curve = {"return_by_step": range(100), "interval_by_step": [[0.0, 1.0]] * 100}
    (axes,) = plots.adaptation_curve({"one": curve}, {}).axes
    assert list(axes.get_xticks()) == list(range(0, 100, 11))


def test_comparison_of_a_hundred_stages_has_ten_panels():
    scores = list(np.arange(100.0))
    row = {"return_by_step": scores, "interval_by_step": [[0.0, 1.0]] * 100}
    panels = plots.comparison({"one": row}).axes
    points = [panel.get_lines()[-1].get_xdata()[0] for panel in panels]
    assert points == scores[::11]


@pytest.mark.parametrize("num_parameters", [1, 2, 5])
@pytest.mark.parametrize("with_oracle", [True, False])
def test_legend_of_returns_by_task_is_in_the_figure(num_parameters, with_oracle):
    parameters = {f"parameter[{i}]": np.zeros(3) for i in range(num_parameters)}
    oracle = np.zeros((1, 3)) if with_oracle else None
    figure = plots.returns_by_task(parameters, np.zeros((1, 3, 10)), oracle)
    assert len(figure.axes) == num_parameters
    FigureCanvasAgg(figure).draw()
    legend = figure.legends[0].get_window_extent()
    assert figure.bbox.x0 <= legend.x0 and legend.x1 <= figure.bbox.x1
    assert figure.bbox.y0 <= legend.y0 and legend.y1 <= figure.bbox.y1


def test_returns_by_task_shows_each_stage_of_each_task_against_each_parameter():
    parameters = {"mass": [1.0, 3.0], "length": [0.1, 0.2], "gravity": [9.0, 8.0]}
    parameters |= {"force": [5.0, 6.0]}
    returns = np.arange(12.0).reshape(2, 2, 3)  # two seeds, two tasks, three stages
    figure = plots.returns_by_task(parameters, returns, oracle=np.full((2, 2), 50.0))
    assert [panel.get_xlabel() for panel in figure.axes] == list(parameters)
    for panel, values in zip(figure.axes, parameters.values(), strict=True):
        points = {line.get_label(): line.get_xydata().T for line in panel.get_lines()}
        np.testing.assert_array_equal(points["before adaptation"], [values, [3, 6]])
        np.testing.assert_array_equal(points["after 2 steps"], [values, [5, 8]])
        np.testing.assert_array_equal(points["oracle"], [values, [50, 50]])
