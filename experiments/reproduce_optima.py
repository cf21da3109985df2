"""The best return that is possible in a cell, where it can be computed."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

import envs
from experiments.reproduce_cells import Cell
from experiments.reproduce_scores import summary
from metarl_jax.classical.bandit_values import bayes_optimal_value
from metarl_jax.classical.hidden_goal import HiddenGoal, known_goal_returns
from metarl_jax.classical.mdp_values import optimal_returns
from metarl_jax.classical.search_values import optimal_search

_MOST_PULLS = 10  # of a bandit; beyond, there are too many beliefs
_NUM_MDPS = 10_000
_SEED = 3_000_000


def has_optimum(cell: Cell) -> bool:
    """True where `optimum` can be computed."""
    if cell.table == "bandits":
        return cell.num_steps <= _MOST_PULLS
    return cell.table in _OPTIMA


def optimum(cell: Cell) -> dict[str, Any]:
    """The best possible mean total reward: `mean`, and what it is the best of."""
    return _OPTIMA[cell.table](cell)


def _bandits(cell: Cell) -> dict[str, Any]:
    num_arms = cell.environment_options["num_arms"]
    return {
        "mean": bayes_optimal_value(num_arms, cell.num_steps),
        "what": "Bayes-optimal",
    }


def _mdps(cell: Cell) -> dict[str, Any]:
    """The mean over many MDPs of what is exact in each."""
    _, tasks = envs.make(cell.environment, **cell.environment_options)
    key = jax.random.key(_SEED)
    returns = optimal_returns(key, tasks.test, cell.horizon, _NUM_MDPS)
    of_trials = cell.num_episodes * returns.astype(np.float64)
    return summary(of_trials[None]) | {"what": "value iteration on the true MDP"}


def _gridnavi(cell: Cell) -> dict[str, Any]:
    """By episode, and what an episode returns whose goal is known from the start."""
    problem = _hidden_goal(cell)
    by_episode = optimal_search(problem).returns.mean(axis=0)
    return {
        "mean": float(by_episode.sum()),
        "mean_by_stage": by_episode.tolist(),
        "goal_known": float(known_goal_returns(problem).mean()),
        "what": "Bayes-optimal",
    }


def _hidden_goal(cell: Cell) -> HiddenGoal:
    env, tasks = envs.make(cell.environment, **cell.environment_options)
    return HiddenGoal(
        next_state=np.asarray(env.next_number()),
        first_state=0,
        goals=np.asarray(jax.vmap(env.number)(tasks.fixed["goals"]())),
        horizon=cell.horizon,
        num_episodes=cell.num_episodes,
        goal_reward=env.goal_reward,
        other_reward=env.other_reward,
    )


_OPTIMA: dict[str, Callable[[Cell], dict[str, Any]]] = {
    "bandits": _bandits,
    "mdps": _mdps,
    "gridnavi": _gridnavi,
}
