"""The cells of the published tables: a family of tasks and the length of a trial."""

import dataclasses
import fnmatch
from typing import Any

from experiments.cli import names_in
from experiments.locomotion import FAMILIES, HORIZON
from experiments.published import PublishedScore, bandit_scores, mdp_scores

LOCOMOTION = "locomotion"  # the table of robots


@dataclasses.dataclass(frozen=True)
class Cell:
    """A row of a published table: what a trial in it is."""

    name: str
    table: str  # one of TABLES
    environment: str
    environment_options: dict[str, Any]
    num_episodes: int  # of a trial, K + 1
    horizon: int  # T, steps of an episode

    @property
    def num_steps(self) -> int:
        """Of a trial."""
        return self.num_episodes * self.horizon


def bandit_cell(num_pulls: int, num_arms: int) -> Cell:
    """A trial of n pulls of a bandit with k arms, as one episode."""
    return Cell(
        name=f"bandit-n{num_pulls}-k{num_arms}",
        table="bandits",
        environment="bernoulli_bandit",
        environment_options={"num_arms": num_arms, "horizon": num_pulls},
        num_episodes=1,
        horizon=num_pulls,
    )


def mdp_cell(num_episodes: int) -> Cell:
    """A trial of N episodes of ten steps in an MDP of 10 states and 5 actions."""
    return Cell(
        name=f"mdp-N{num_episodes}",
        table="mdps",
        environment="tabular_mdp",
        environment_options={"num_states": 10, "num_actions": 5, "horizon": 10},
        num_episodes=num_episodes,
        horizon=10,
    )


GRID_NAVI = Cell(
    name="gridnavi",
    table="gridnavi",
    environment="grid_navi",
    environment_options={},
    num_episodes=4,
    horizon=15,
)


def locomotion_cell(family: str) -> Cell:
    """A trial of one step of adaptation; how many episodes, a budget says."""
    return Cell(
        name=family,
        table=LOCOMOTION,
        environment=family,
        environment_options={},
        num_episodes=2,
        horizon=HORIZON,
    )


_BANDITS = {bandit_cell(*sizes).name: sizes for sizes in bandit_scores()}
_MDPS = {mdp_cell(num_episodes).name: num_episodes for num_episodes in mdp_scores()}
CELLS = {
    **{name: bandit_cell(*sizes) for name, sizes in _BANDITS.items()},
    **{name: mdp_cell(num_episodes) for name, num_episodes in _MDPS.items()},
    GRID_NAVI.name: GRID_NAVI,
    **{family: locomotion_cell(family) for family in FAMILIES},
}
TABLES = tuple(dict.fromkeys(cell.table for cell in CELLS.values()))


def published(cell: str) -> dict[str, PublishedScore]:
    """What the papers say of each agent in the cell of this name."""
    if cell in _BANDITS:
        return bandit_scores()[_BANDITS[cell]]
    return mdp_scores()[_MDPS[cell]] if cell in _MDPS else {}


def cells_of(table: str) -> dict[str, Cell]:
    """The cells of one of TABLES, in the order of the papers."""
    return {name: cell for name, cell in CELLS.items() if cell.table == table}


def chosen(kind: str, patterns: str | None, names: list[str]) -> list[str]:
    """The names that match.

    Args:
      kind: of what is named, for the message.
      patterns: names separated by commas, in which `*` stands for anything; None: all.
      names: to choose from.

    Raises:
      ValueError: if a pattern matches none; names the choices.
    """
    if patterns is None:
        return names
    wanted = names_in(patterns)
    for pattern in wanted:
        if not fnmatch.filter(names, pattern):
            raise ValueError(f"no {kind} '{pattern}'; choose from {', '.join(names)}")
    return [name for name in names if any(fnmatch.fnmatch(name, p) for p in wanted)]
