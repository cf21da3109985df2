"""A goal that is hidden among known states, and what finding it is worth."""

from typing import NamedTuple

import numpy as np

from metarl_jax.checks import require


class HiddenGoal(NamedTuple):
    """Deterministic moves among S states, one of which pays; which one is unknown.

    A trial is K+1 episodes of T steps, each from the same state. A step that ends in
    the goal pays `goal_reward` and every other step `other_reward`, which is less: so
    a visit tells whether a state is the goal, and an agent that has found it goes
    there by the shortest way and stays.
    """

    next_state: np.ndarray  # [S, A]; the number of the state that an action leads to
    first_state: int
    goals: np.ndarray  # [G]; numbers of the states that may be the goal, equally likely
    horizon: int  # T
    num_episodes: int  # K + 1
    goal_reward: float
    other_reward: float


def check_hidden_goal(problem: HiddenGoal) -> None:
    """Raises ValueError, in one line, where a found goal might be worth less."""
    next_state, goals = problem.next_state, problem.goals
    require(
        problem.goal_reward > problem.other_reward,
        f"goal_reward must be above other_reward, {problem.other_reward}, "
        f"not {problem.goal_reward}",
    )
    stays = (next_state[goals] == goals[:, None]).any(axis=1)
    require(
        stays.all(), f"give states {goals[~stays].tolist()} an action that stays there"
    )
    require(
        len(next_state) * 2 ** len(goals) < 2**63,
        f"{len(goals)} goals among {len(next_state)} states are too many: "
        "sets of goals do not fit into 63 bits",
    )


def steps_between(next_state: np.ndarray) -> np.ndarray:
    """The fewest steps, at least one, that lead from state to state.

    Args:
      next_state: [S, A].

    Returns:
      [S, S], from row to column; infinite where there is no way.
    """
    num_states = len(next_state)
    adjacent = np.zeros((num_states, num_states), bool)
    adjacent[np.arange(num_states)[:, None], next_state] = True
    steps = np.full((num_states, num_states), np.inf)
    reached = np.eye(num_states, dtype=bool)
    for number in range(1, num_states + 1):
        reached = reached @ adjacent
        steps = np.where(reached, np.minimum(steps, number), steps)
    return steps


def known_goal_returns(problem: HiddenGoal) -> np.ndarray:
    """The return of an episode in which the goal is known from the start, [G]."""
    steps = steps_between(problem.next_state)[problem.first_state, problem.goals]
    return _arrival_return(problem, steps)


def found_returns(problem: HiddenGoal) -> np.ndarray:
    """The returns of a trial in which the goal is found in step t of episode e.

    Returns:
      [K+1 (e), T (t, from the first step), G, K+1 (episode)].
    """
    num_episodes, horizon = problem.num_episodes, problem.horizon
    episode = np.arange(num_episodes)
    found, now = episode[:, None, None, None], episode
    this_time = _arrival_return(problem, np.arange(1, horizon + 1))[:, None, None]
    later = known_goal_returns(problem)[:, None]
    before = _arrival_return(problem, np.inf)
    returns = np.where(now < found, before, np.where(now == found, this_time, later))
    shape = num_episodes, horizon, len(problem.goals), num_episodes
    return np.broadcast_to(returns, shape)


def _arrival_return(problem: HiddenGoal, steps: np.ndarray) -> np.ndarray:
    """The return of an episode that is in the goal from the end of step `steps` on."""
    paid = np.maximum(problem.horizon + 1 - np.asarray(steps, float), 0.0)
    reward = problem.goal_reward - problem.other_reward
    return problem.horizon * problem.other_reward + reward * paid
