"""The tables of the reproduction in Markdown, beside the published figures."""

from collections.abc import Callable

from experiments.published import PublishedScore
from experiments.reproduce_cells import LOCOMOTION, cells_of, published
from experiments.reproduce_locomotion_tables import locomotion_tables
from experiments.reproduce_stored import (
    Row,
    Stored,
    cell_table,
    cost_table,
    is_good,
    not_run,
)
from experiments.row_folder import failure_cell, markdown

OPTIMUM = "optimum"  # the agent whose rows hold the best that is possible
TABULAR = "rl2_tabular"  # learns where states and actions can be counted
LEARNED = (
    "rl2_gru",
    TABULAR,
    "rl2_fast_weights",
    "rl2_trpo",
    "transformer",
    "snail",
    "maml",
)
_INDICES = ("gittins", "finite_horizon_gittins")
# of the names of agents that believe in what MDPs are drawn from
TRUE_PRIOR = "_true_prior"
_MDP_AGENTS = ("random", "greedy", "epsilon_greedy", "psrl", "opsrl", "ucrl2", "beb")
_CLASSICAL = {
    "bandits": (
        *("random", "greedy", "epsilon_greedy", "ucb1", "thompson"),
        *("optimistic_thompson", "voting_thompson"),
        *("gittins", "finite_horizon_gittins"),
    ),
    "mdps": (*_MDP_AGENTS, *(f"{name}{TRUE_PRIOR}" for name in _MDP_AGENTS[1:])),
    "gridnavi": (),
}
_NOTHING = PublishedScore()

_LEGEND = """\
Each entry: mean total reward of a trial ± half of its 95% interval, over trials and
over training seeds where there are several, [published] and its percentage of the
reference, which is {reference}.
"""
_SETTINGS = """\
Settings, chosen on other tasks; where another one is the best on the scored tasks,
which is what was published, it follows with its mean:
"""
_REFERENCES = {
    "bandits": "the exact\nBayes-optimal value for 10 pulls, and for more the "
    "better of our two index policies",
    "mdps": "the return of\nvalue iteration on the true MDP",
}


def tables(table: str, stored: Stored) -> str:
    """All tables of one of `reproduce_cells.TABLES`."""
    return _TABLES[table](table, stored)


def published_tables(table: str, stored: Stored) -> str:
    """Our agents beside the published: classical, their settings, learned, costs."""
    legend = _LEGEND.format(reference=_REFERENCES[table])
    classical = stored.agents(table, _CLASSICAL[table])
    tuned = _tuned(table, stored)
    parts = [
        legend,
        cell_table(table, ["reference", *classical], stored, _score_or_reference),
        *([_SETTINGS, cell_table(table, tuned, stored, _setting)] if tuned else []),
        "Learned agents:",
        cell_table(table, ["reference", *LEARNED], stored, _score_or_reference),
        "What training took: environment steps and seconds of a seed, seeds, and "
        "seconds of an iteration of all seeds without compiling:",
        cost_table(table, list(LEARNED), stored),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def search_tables(table: str, stored: Stored) -> str:
    """Return in each episode of a trial, and in all."""
    (cell,) = cells_of(table)
    agents = [OPTIMUM, *(name for name in LEARNED if name != TABULAR)]
    known = {name: stored.rows.get(f"{cell}/{name}") for name in agents}
    lines = [[name, _in_all(row), *_by_stage(row)] for name, row in known.items()]
    num_stages = max(map(len, lines)) - 2
    heads = ["", "in all", *(f"episode {k + 1}" for k in range(num_stages))]
    costs = cost_table(table, agents[1:], stored)
    return f"{markdown(heads, lines)}\n\nWhat training took:\n\n{costs}\n"


_TABLES: dict[str, Callable[[str, Stored], str]] = {
    "bandits": published_tables,
    "mdps": published_tables,
    "gridnavi": search_tables,
    LOCOMOTION: locomotion_tables,
}


def reference(cell: str, stored: Stored) -> Row | None:
    """The row whose mean is 100% in a cell, if it is known."""
    names = [f"{cell}/{agent}" for agent in (OPTIMUM, *_INDICES)]
    known = [stored.rows[name] for name in names if is_good(stored.rows.get(name))]
    exact = [row for row in known if "what" in row]
    return max(exact or known, key=lambda row: row["mean"], default=None)


def _score_or_reference(cell: str, agent: str, stored: Stored) -> str:
    best = reference(cell, stored)
    if agent == "reference":
        return _reference_entry(best)
    row = stored.rows.get(f"{cell}/{agent}")
    theirs = _published_entry(published(cell).get(agent, _NOTHING))
    if row is None:
        return f"{not_run(stored.estimates.get(f'{cell}/{agent}'))}{theirs}"
    if "failed" in row:
        return f"{failure_cell(row)}{theirs}"
    percent = f" {100 * row['mean'] / best['mean']:.1f}%" if best else ""
    return f"{_mean(row)}{theirs}{percent}"


def _reference_entry(row: Row | None) -> str:
    if row is None:
        return "not run"
    return _mean(row) if "what" in row else f"{_mean(row)} (index)"


def _published_entry(score: PublishedScore) -> str:
    if score.total is not None:
        return f" [{score.total:g}]"
    return f" [{100 * score.fraction:.1f}%]" if score.fraction is not None else ""


def _tuned(table: str, stored: Stored) -> list[str]:
    """Agents with more than one setting."""
    return [
        agent
        for agent in _CLASSICAL[table]
        if any(
            len(stored.rows.get(f"{cell}/{agent}", {}).get("mean_by_setting", ())) > 1
            for cell in cells_of(table)
        )
    ]


def _setting(cell: str, agent: str, stored: Stored) -> str:
    row = stored.rows.get(f"{cell}/{agent}")
    if not is_good(row):
        return ""
    best = row["as_published"]
    same = best["setting"] == row["setting"]
    as_published = "" if same else f"; {best['setting']:g}: {_mean(best)}"
    return f"{row['setting']:g}{as_published}"


def _by_stage(row: Row | None) -> list[str]:
    if not is_good(row):
        return []
    means = row["mean_by_stage"]
    intervals = row.get("interval_by_stage", [None] * len(means))
    return [
        _mean({"mean": mean, "interval": interval})
        for mean, interval in zip(means, intervals, strict=True)
    ]


def _in_all(row: Row | None) -> str:
    if row is None:
        return "not run"
    return failure_cell(row) if "failed" in row else _mean(row)


def _mean(row: Row) -> str:
    """The mean ± half of its interval; exact where there is none."""
    if row.get("interval") is None:
        return f"{row['mean']:.3f}"
    low, high = row["interval"]
    return f"{row['mean']:.2f} ± {(high - low) / 2:.2f}"
