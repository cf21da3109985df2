"""Figures of the literature that results are compared with, and their sources."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from metarl_jax.statistics import oracle_normalized

_FOLDER = Path(__file__).parent
# our name of an agent -> that of Finn et al.
_FINN2017_METHODS = {
    "random": "random",
    "oracle": "oracle",
    "multi_task": "pretrain",
    "maml": "maml",
}


class PublishedScore(NamedTuple):
    """What a paper says of an agent in a cell of its table; None: nothing."""

    total: float | None = None  # mean total reward of a trial
    fraction: float | None = None  # of the return of value iteration on the true MDP


def finn2017(family: str) -> dict[str, list[float]]:
    """Mean returns over 40 test tasks by adaptation step, by method.

    Args:
      family: e.g. "point"; the task families of Finn et al. (2017), section 5.3.

    Returns:
      For "Finn et al. (2017), MAML" and their "oracle" a list of returns each.
    """
    returns = _read("finn2017.json")["mean_return_by_step"][family]
    return {f"Finn et al. (2017), {name}": returns[name] for name in ("maml", "oracle")}


def finn2017_normalized(family: str) -> dict[str, list[float]]:
    """Scores by adaptation step in percent, random 0 and the oracle 100, by agent.

    Args:
      family: e.g. "ant_velocity"; as in `finn2017`.

    Returns:
      Of "random", "oracle", "multi_task" (theirs is "pretrained") and "maml".
    """
    returns = _read("finn2017.json")["mean_return_by_step"][family]
    ends = returns["random"][0], returns["oracle"][0]
    return {
        agent: oracle_normalized(returns[method], *ends).tolist()
        for agent, method in _FINN2017_METHODS.items()
    }


def bandit_scores() -> dict[tuple[int, int], dict[str, PublishedScore]]:
    """By pulls n and arms k, then by agent; Duan et al. (2016), Mishra et al. (2018).

    Totals are means over 1,000 trials. UCB1, epsilon-greedy and optimistic Thompson
    sampling had their settings chosen on the trials that they were scored on.
    """
    table = _read("bandits_and_mdps.json")["bandit"]
    return {
        (row["n"], row["k"]): {
            name: PublishedScore(total)
            for name, total in row.items()
            if name not in ("n", "k")
        }
        for row in _rows(table["columns"], table["rows"])
    }


def mdp_scores() -> dict[int, dict[str, PublishedScore]]:
    """By number of episodes N, then by agent; sources as of `bandit_scores`."""
    table = _read("bandits_and_mdps.json")["tabular_mdp"]
    totals = _rows(table["columns"], table["rows"])
    fractions = _rows(table["normalised_columns"], table["normalised_rows"])
    return {
        of_total["N"]: {
            name: PublishedScore(of_total.get(name), of_fraction.get(name))
            for name in dict.fromkeys([*of_total, *of_fraction])
            if name != "N"
        }
        for of_total, of_fraction in zip(totals, fractions, strict=True)
    }


def _read(name: str) -> dict[str, Any]:
    return json.loads((_FOLDER / name).read_text())


def _rows(columns: list[str], rows: list[list]) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in rows]
