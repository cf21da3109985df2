"""An agent that searches for a hidden goal and then goes there by the shortest way."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from metarl_jax.classical.agent import Agent, Experience
from metarl_jax.classical.hidden_goal import HiddenGoal, steps_between
from metarl_jax.types import Array, Key


class SearchMemory(NamedTuple):
    goal: Array  # []; the state that is the goal, or -1
    num_steps: Array  # []; of the trial so far


def search_agent(
    problem: HiddenGoal, actions: np.ndarray, number: Callable[[Array], Array]
) -> Agent:
    """Plays a search, as `search_values.optimal_search` finds it.

    Args:
      problem: the moves and goals.
      actions: of a trial in which the goal is not found, [(K+1) T].
      number: from an observation to the number of its state.

    Returns:
      An agent, which knows a goal by its reward.
    """
    actions, towards = jnp.asarray(actions), jnp.asarray(_towards(problem))
    threshold = (problem.goal_reward + problem.other_reward) / 2

    def act(key: Key, memory: SearchMemory, observation: Array) -> Array:
        search = actions[memory.num_steps]
        shortest = towards[number(observation), memory.goal]
        return jnp.where(memory.goal < 0, search, shortest)

    def learn(key: Key, memory: SearchMemory, experience: Experience) -> SearchMemory:
        state = number(experience.next_observation)
        goal = jnp.where(experience.reward > threshold, state, memory.goal)
        return SearchMemory(goal, memory.num_steps + 1)

    return Agent(SearchMemory(jnp.int32(-1), jnp.int32(0)), act, learn)


def _towards(problem: HiddenGoal) -> np.ndarray:
    """The first action of a shortest way from state to state, [S, S]."""
    left = steps_between(problem.next_state)
    np.fill_diagonal(left, 0)
    return np.argmin(left[problem.next_state], axis=1)
