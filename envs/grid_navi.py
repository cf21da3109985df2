"""GridNavi: find the cell of a grid that pays, and return to it in later episodes."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from gymnax.environments import spaces

from envs.options import checked_integer
from envs.tasks import TaskDistribution

_MOVES = ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))  # stay, up, right, down, left
_NEAR = 2  # cells with both coordinates below this are never goals


class GridNaviState(NamedTuple):
    position: jax.Array  # [2]; integers
    time: jax.Array  # []


class GridNavi:
    """A square of cells; the task is the goal, a cell [2] of integers.

    Starts in the corner (0, 0), observes its cell as two numbers, and stays or moves
    up, right, down or left: actions 0 to 4. A move out of the grid does nothing. The
    reward is 1 for each step that ends in the goal and -0.1 for every other one.
    Nothing is terminal. `info` has `success`, 1 in the goal and 0 elsewhere. Cells have
    numbers, for those who plan: `number` and `next_number`; `all_observations` is what
    is seen in each of them.

    References:
      Zintgraf et al., VariBAD: A Very Good Method for Bayes-Adaptive Deep RL via
      Meta-Learning (2020), https://arxiv.org/abs/1910.08348
    """

    goal_reward = 1.0
    other_reward = -0.1

    def __init__(self, size: int, horizon: int):
        self.size = size
        self.horizon = horizon
        self.observation_space = spaces.Box(0.0, size - 1.0, (2,))
        self.action_space = spaces.Discrete(len(_MOVES))

    def reset(self, key, task):
        state = GridNaviState(jnp.zeros(2, jnp.int32), jnp.zeros((), jnp.int32))
        return self._observe(state), state

    def step(self, key, state, action, task):
        position = self._moved(state.position, action)
        in_goal = jnp.all(position == task)
        reward = jnp.where(in_goal, self.goal_reward, self.other_reward)
        state = GridNaviState(position, state.time + 1)
        truncated = state.time >= self.horizon
        info = {"success": in_goal.astype(jnp.float32)}
        return self._observe(state), state, reward, jnp.bool_(False), truncated, info

    def number(self, cell):
        """The number of a cell, of an observation or of a task; [2] to []."""
        x, y = jnp.asarray(cell, jnp.int32)
        return x * self.size + y

    def next_number(self):
        """The number of the cell that each action leads to, [size**2, 5]."""
        actions = jnp.arange(len(_MOVES))
        move = lambda cell, action: self.number(self._moved(cell, action))
        return jax.vmap(jax.vmap(move, (None, 0)), (0, None))(self._cells(), actions)

    def all_observations(self):
        """The observation in each cell, by number, [size**2, 2]."""
        return self._cells().astype(jnp.float32)

    def _cells(self):
        return jnp.stack(jnp.divmod(jnp.arange(self.size**2), self.size), axis=-1)

    def _moved(self, position, action):
        moved = position + jnp.array(_MOVES)[action]
        return jnp.clip(moved, 0, self.size - 1)

    def _observe(self, state):
        return state.position.astype(jnp.float32)


def make(size: int = 5, horizon: int = 15) -> tuple[GridNavi, TaskDistribution]:
    """Goals are uniform over all cells but the start and the three cells next to it.

    They are all the goals there are: test tasks are those of training, none are out of
    distribution, and `tasks.fixed["goals"]` is each of them once, [size**2 - 4, 2].

    Args:
      size: cells along each side, at least 3; 5 is published.
      horizon: T; 15 is published, in trials of four episodes.
    """
    size = checked_integer("size", size, minimum=3)
    horizon = checked_integer("horizon", horizon, minimum=1)

    def goals():
        cells = [(x, y) for x in range(size) for y in range(size)]
        return jnp.array([cell for cell in cells if max(cell) >= _NEAR], jnp.int32)

    def goal(key):
        return jax.random.choice(key, goals())

    tasks = TaskDistribution(train=goal, test=goal, fixed={"goals": goals})
    return GridNavi(size, horizon), tasks
