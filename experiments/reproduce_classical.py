"""The classical agents of the published tables, made for a cell."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from experiments.reproduce_cells import Cell
from experiments.reproduce_tables import TRUE_PRIOR
from metarl_jax.classical.agent import Agent
from metarl_jax.classical.bandit_agents import BANDIT_AGENTS
from metarl_jax.classical.mdp_agents import MDP_AGENTS, MdpAgent, Prior


class ClassicalAgent(NamedTuple):
    """An agent made for a cell, and the settings among which to choose."""

    make: Callable[[Any], Agent]  # setting -> agent
    settings: tuple[float, ...]


def classical_agents(cell: Cell) -> dict[str, ClassicalAgent]:
    """The classical agents that act in a cell, by name."""
    return _CLASSICAL.get(cell.table, lambda cell: {})(cell)


def _bandit_agents(cell: Cell) -> dict[str, ClassicalAgent]:
    num_arms = cell.environment_options["num_arms"]
    return {
        name: ClassicalAgent(partial(kind.make, num_arms, cell.horizon), kind.settings)
        for name, kind in BANDIT_AGENTS.items()
    }


def _mdp_agents(cell: Cell) -> dict[str, ClassicalAgent]:
    """By the published prior and, where that is not the true one, also by the true."""
    published = {
        name: _mdp_agent(cell, kind, kind.published_prior)
        for name, kind in MDP_AGENTS.items()
    }
    true = {
        f"{name}{TRUE_PRIOR}": _mdp_agent(cell, kind, Prior())
        for name, kind in MDP_AGENTS.items()
        if kind.published_prior != Prior()
    }
    return published | true


def _mdp_agent(cell: Cell, kind: MdpAgent, prior: Prior) -> ClassicalAgent:
    options = cell.environment_options
    sizes = options["num_states"], options["num_actions"], cell.horizon
    return ClassicalAgent(partial(kind.make, *sizes, prior), kind.settings)


# table -> the agents of a cell of it
_CLASSICAL: dict[str, Callable[[Cell], dict[str, ClassicalAgent]]] = {
    "bandits": _bandit_agents,
    "mdps": _mdp_agents,
}
