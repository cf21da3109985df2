"""The Bayes-optimal search for a hidden goal, by exact dynamic programming.

As long as the goal is not found, nothing is learnt but which states it is not: so a
search is one fixed path, which ends where the goal turns out to be. What a path is
worth is the sum, over the goals on it, of what it is worth to find each when it does.
The best path is found step by step among all pairs of a state and a set of visited
goals, of which those are left out that cannot be on a best path, by an upper bound:
from then on, every other goal is found as if it alone were searched for.
"""

from typing import NamedTuple

import numpy as np

from metarl_jax.classical.hidden_goal import (
    HiddenGoal,
    check_hidden_goal,
    found_returns,
)

# what a reward in each earlier episode counts for more than in the next one; far below
# the differences of returns, so that it decides among optimal paths alone
_EARLIER = 1e-7
_ROUNDING = 1e-9
_FIRST_WIDTH = 300  # paths kept for a first guess, from which to leave out others


class Search(NamedTuple):
    """A Bayes-optimal search, and its returns."""

    actions: np.ndarray  # [(K+1) T]; what to do as long as the goal is not found
    returns: np.ndarray  # [G, K+1]; of each episode, for each goal


class _Paths(NamedTuple):
    """The best path of P pairs of a state and a set of goals, after some steps."""

    state: np.ndarray  # [P]
    visited: np.ndarray  # [P]; bit g: goal number g is on the path
    value: np.ndarray  # [P]; what the goals on the path are worth together
    parent: np.ndarray  # [P]; the index of the path one step before
    action: np.ndarray  # [P]; the last one


class _Values(NamedTuple):
    gain: np.ndarray  # [L, G]; of finding a goal in this step rather than never
    bound: np.ndarray  # [L + 1, S, G]; the most gained by it from a state on


def optimal_search(problem: HiddenGoal) -> Search:
    """A policy whose expected return over the whole trial is the largest possible.

    Among optimal policies it is one with the largest return in the first episode,
    among these in the second, and so on; so `returns` of optimal searches are equal in
    the mean over goals.

    Args:
      problem: the moves, the goals and the trial.

    Returns:
      The search. The mean of `returns` over goals is the curve of a Bayes-optimal
      agent, the sum of this its value.

    Raises:
      ValueError: where a state may be the goal that cannot be stayed in, where the
        goal pays no more than other states, or where there are too many goals.
    """
    check_hidden_goal(problem)
    gain = _gains(problem)
    values = _Values(gain, _bounds(problem, gain))
    guess = _best_path(problem, values, at_least=0.0, width=_FIRST_WIDTH)
    path = _best_path(problem, values, at_least=guess[-1].value.max(), width=None)
    actions = _actions(path)
    return Search(actions, path_returns(problem, actions))


def path_returns(problem: HiddenGoal, actions: np.ndarray) -> np.ndarray:
    """The returns of each episode, for each goal, of a search.

    Args:
      problem: the moves, the goals and the trial.
      actions: of the whole trial, [(K+1) T], until the goal is found; after that the
        agent goes for it.

    Returns:
      [G, K+1].
    """
    found = found_returns(problem)
    never = np.full(problem.num_episodes, problem.horizon * problem.other_reward)
    returns = np.tile(never, (len(problem.goals), 1))
    for step in reversed(range(len(actions))):
        episode, time = divmod(step, problem.horizon)
        since_reset = actions[episode * problem.horizon : step + 1]
        reached = problem.goals == _walk(problem, since_reset)
        returns[reached] = found[episode, time, reached]
    return returns


def _walk(problem: HiddenGoal, actions: np.ndarray) -> int:
    """Where actions lead from the first state."""
    state = problem.first_state
    for action in actions:
        state = problem.next_state[state, action]
    return state


def _gains(problem: HiddenGoal) -> np.ndarray:
    never = problem.horizon * problem.other_reward
    earlier = np.arange(problem.num_episodes)[::-1]
    gain = (found_returns(problem) - never) @ (1.0 + _EARLIER * earlier)
    return gain.reshape(-1, len(problem.goals))


def _bounds(problem: HiddenGoal, gain: np.ndarray) -> np.ndarray:
    hit = problem.next_state[:, :, None] == problem.goals  # [S, A, G]
    bounds = [np.zeros((len(problem.next_state), len(problem.goals)))]
    for step in reversed(range(len(gain))):
        following = bounds[-1][_after(problem, step, problem.next_state)]
        bounds.append(np.where(hit, gain[step], following).max(axis=1))
    return np.stack(bounds[::-1])


def _best_path(
    problem: HiddenGoal, values: _Values, at_least: float, width: int | None
) -> list[_Paths]:
    """Paths of every length, the last of which contain a best one.

    Args:
      problem: the moves and goals.
      values: what goals are worth.
      at_least: the value of a path that is known.
      width: the number of paths to go on with, those of the highest bounds; None: all.
        Only with None is it certain that the path found is a best one.
    """
    nothing = np.zeros(1, np.int64)
    start = np.full(1, problem.first_state)
    layers = [_Paths(start, nothing, np.zeros(1), nothing, nothing)]
    for step in range(len(values.gain)):
        paths = _extended(problem, values.gain[step], layers[-1])
        paths = paths._replace(state=_after(problem, step, paths.state))
        paths = _best_of_each_pair(paths)
        bound = paths.value + _unvisited_bound(paths, values.bound[step + 1])
        keep = np.flatnonzero(bound >= at_least - _ROUNDING)
        keep = keep[np.argsort(-bound[keep], kind="stable")[:width]]
        layers.append(_Paths(*(field[keep] for field in paths)))
    return layers


def _after(problem: HiddenGoal, step: int, state: np.ndarray) -> np.ndarray:
    """The states in which the next step begins: an episode may have ended."""
    ended = (step + 1) % problem.horizon == 0
    return np.full_like(state, problem.first_state) if ended else state


def _extended(problem: HiddenGoal, gain: np.ndarray, paths: _Paths) -> _Paths:
    """All paths by one step longer, [P A]."""
    num_states, num_actions = problem.next_state.shape
    bit, worth = np.zeros(num_states, np.int64), np.zeros(num_states)
    bit[problem.goals] = np.left_shift(1, np.arange(len(gain)))
    worth[problem.goals] = gain
    state = problem.next_state[paths.state].ravel()
    parent = np.repeat(np.arange(len(paths.state)), num_actions)
    action = np.tile(np.arange(num_actions), len(paths.state))
    visited = paths.visited[parent]
    new = (visited & bit[state]) == 0
    value = paths.value[parent] + np.where(new, worth[state], 0.0)
    return _Paths(state, visited | bit[state], value, parent, action)


def _best_of_each_pair(paths: _Paths) -> _Paths:
    order = np.lexsort((-paths.value, paths.state, paths.visited))
    state, visited = paths.state[order], paths.visited[order]
    first = np.ones(len(order), bool)
    first[1:] = (state[1:] != state[:-1]) | (visited[1:] != visited[:-1])
    return _Paths(*(field[order[first]] for field in paths))


def _unvisited_bound(paths: _Paths, bound: np.ndarray) -> np.ndarray:
    """The most that the goals not on each path can add, [P]."""
    visited = (paths.visited[:, None] >> np.arange(bound.shape[1])) & 1
    return np.sum(np.where(visited, 0.0, bound[paths.state]), axis=1)


def _actions(layers: list[_Paths]) -> np.ndarray:
    """The actions of the best path, [L]."""
    index, actions = np.argmax(layers[-1].value), []
    for paths in reversed(layers[1:]):
        actions.append(paths.action[index])
        index = paths.parent[index]
    return np.array(actions[::-1])
