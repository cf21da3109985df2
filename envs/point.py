"""Point navigation: reach an unknown goal in the plane."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from gymnax.environments import spaces

from envs.options import checked_integer
from envs.tasks import TaskDistribution, around_square

_STEP = 0.1  # the longest move of one step along each axis
_REACHED = 0.01  # the distance along each axis at which the goal counts as reached


class PointState(NamedTuple):
    position: jax.Array  # [2]
    time: jax.Array  # []


class Point:
    """A point that moves by up to 0.1 along each axis; the task is the goal, [2].

    Starts at the origin and observes its position. The reward is minus the distance
    to the goal after the move; an episode ends when the goal is reached within 0.01
    along both axes.

    References:
      Finn et al., Model-Agnostic Meta-Learning (2017), section 5.3,
      https://arxiv.org/abs/1703.03400
    """

    def __init__(self, horizon: int = 100):
        self.horizon = horizon
        self.observation_space = spaces.Box(-jnp.inf, jnp.inf, (2,))
        self.action_space = spaces.Box(-1.0, 1.0, (2,))

    def reset(self, key, task):
        state = PointState(jnp.zeros(2), jnp.zeros((), jnp.int32))
        return state.position, state

    def step(self, key, state, action, task):
        position = state.position + _STEP * jnp.clip(action, -1.0, 1.0)
        offset = position - task
        reward = -jnp.sqrt(jnp.sum(offset**2))
        terminated = jnp.all(jnp.abs(offset) < _REACHED)
        state = PointState(position, state.time + 1)
        truncated = state.time >= self.horizon
        return position, state, reward, terminated, truncated, {}


def make(horizon: int = 100) -> tuple[Point, TaskDistribution]:
    """Goals uniform in the square of half-width 0.5; beyond it out of distribution.

    `tasks.fixed["finn2017"]` is the 40 test goals of Finn et al. (2017).

    Args:
      horizon: T; 100 as published.
    """
    horizon = checked_integer("horizon", horizon, minimum=1)
    tasks = TaskDistribution(
        train=_goal,
        test=_goal,
        ood=around_square(0.5, 1.0),
        fixed={"finn2017": _published_goals},
    )
    return Point(horizon), tasks


def _goal(key):
    return jax.random.uniform(key, (2,), minval=-0.5, maxval=0.5)


def _published_goals():
    """The 40 test goals of Finn et al. (2017), [40, 2]."""
    goals = np.random.RandomState(1).uniform(-0.5, 0.5, (40, 2))
    return jnp.asarray(goals, jnp.float32)
