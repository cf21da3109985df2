"""The tables and figures of robots: returns and oracle-normalised scores by step."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from experiments.locomotion import AGENTS
from experiments.published import finn2017_normalized
from experiments.reproduce_cells import LOCOMOTION, cells_of
from experiments.reproduce_stored import Row, Stored, cost_table, is_good, not_run
from experiments.row_folder import failure_cell, markdown
from metarl_jax import plot_panels
from metarl_jax.statistics import oracle_normalized, oracle_normalized_interval

_STEPS = ("before", "1 step", "2 steps", "3 steps")
_LEGEND = """\
Mean return of an episode of 200 steps before and after each step of adaptation, on
tasks that every agent of a family gets alike, with its 95% interval over training seeds
and tasks:
"""
_NORMALIZED = """\
The same in percent of the way from `random` before adaptation to `oracle`, which is
told the task and does not adapt, [in Finn et al. (2017)]. Physics differ, so that only
these compare. An interval is over the tasks and the seeds of all three.
"""


def locomotion_tables(table: str, stored: Stored) -> str:
    """Returns, normalised scores beside the published ones, and costs."""
    agents = list(AGENTS)
    parts = [
        _LEGEND,
        _step_table(stored, _returns),
        _NORMALIZED,
        _step_table(stored, _normalized),
        "What training took: environment steps and seconds of a seed, seeds, and "
        "seconds of an iteration of all seeds without compiling:",
        cost_table(table, agents[1:], stored),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def draw(stored: Stored, folder: Path) -> list[Path]:
    """Draws learning curves and adaptation, and says where; nothing without rows."""
    rows = {
        family: {
            agent: stored.rows[f"{family}/{agent}"]
            for agent in AGENTS
            if is_good(stored.rows.get(f"{family}/{agent}"))
        }
        for family in cells_of(LOCOMOTION)
    }
    rows = {family: known for family, known in rows.items() if known}
    if not rows:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {
        folder / "locomotion_learning.png": _learning(rows),
        folder / "locomotion_adaptation.png": plot_panels.adaptation_panels(rows),
    }
    for path, figure in drawn.items():
        figure.savefig(path, dpi=150)
    return list(drawn)


def _step_table(stored: Stored, entries) -> str:
    """A line for each family and agent, and a column for each step of adaptation."""
    lines = [
        [family, agent, *_line(stored, family, agent, entries)]
        for family in cells_of(LOCOMOTION)
        for agent in AGENTS
    ]
    return markdown(["", "", *_STEPS], lines)


def _line(stored: Stored, family: str, agent: str, entries) -> list[str]:
    name = f"{family}/{agent}"
    row = stored.rows.get(name)
    if row is None:
        return [not_run(stored.estimates.get(name))]
    return [failure_cell(row)] if not is_good(row) else entries(stored, family, agent)


def _returns(stored: Stored, family: str, agent: str) -> list[str]:
    row = stored.rows[f"{family}/{agent}"]
    return [
        f"{mean:.1f} [{low:.1f}, {high:.1f}]"
        for mean, (low, high) in zip(
            row["return_by_step"], row["interval_by_step"], strict=True
        )
    ]


def _normalized(stored: Stored, family: str, agent: str) -> list[str]:
    """What is known of ours, and theirs."""
    theirs = finn2017_normalized(family).get(agent, [])
    ours = _our_scores(stored, family, agent)
    count = max(len(theirs), len(ours))
    padded = lambda entries: [*entries, *[""] * (count - len(entries))]
    published = [f" [{score:.0f}%]" for score in theirs]
    return [
        f"{our}{their}".strip()
        for our, their in zip(padded(ours), padded(published), strict=True)
    ]


def _our_scores(stored: Stored, family: str, agent: str) -> list[str]:
    """Percentages and their intervals, or why there are none.

    Empty where a reference is missing.
    """
    names = [f"{family}/{name}" for name in (agent, "random", "oracle")]
    rows = [stored.rows.get(name) for name in names]
    if not all(map(is_good, rows)):
        return []
    score, random, oracle = (np.array(row["returns"]) for row in rows)
    if score.shape[1] != random.shape[1] or score.shape[1] != oracle.shape[1]:
        return ["other --trials: score again"]
    references = random[..., 0], oracle[..., 0]
    ends = [returns.mean() for returns in references]
    if ends[1] <= ends[0]:
        return ["oracle no better than random"]
    scores = oracle_normalized(score.mean(axis=(0, 1)), *ends)
    low, high = oracle_normalized_interval(score, *references)
    return [
        f"{mean:z.0f}% ({lower:z.0f}, {upper:z.0f})"
        for mean, lower, upper in zip(scores, low, high, strict=True)
    ]


def _learning(rows: Mapping[str, Mapping[str, Row]]) -> Figure:
    """Returns in training, all that an agent collects last in a trial."""
    curves = {
        family: {
            agent: (row["learning_curve"]["env_steps"], row["learning_curve"]["after"])
            for agent, row in known.items()
            if row["env_steps"]
        }
        for family, known in rows.items()
    }
    return plot_panels.learning_panels(curves)
