"""Four corners: find out which corner of the plane rewards coming closer."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from gymnax.environments import spaces

from envs.options import checked_integer
from envs.tasks import TaskDistribution

_STEP = 0.2  # the longest move of one step along each axis
_START = 0.2  # the start is uniform within this distance along each axis
_DARK = 0.5  # no reward while |x| + |y| is below this
_CORNERS = np.array([[-2, -2], [2, -2], [-2, 2], [2, 2]], np.float32)


class CornersState(NamedTuple):
    position: jax.Array  # [2]
    time: jax.Array  # []


class PointCorners:
    """A point that moves by up to 0.2 along each axis; the task is the goal, [2].

    The goal is one of the corners (+-2, +-2), and the reward is sparse: by how much a
    step came closer to the goal, but only in the quadrant of the goal and at least 0.5
    (in the 1-norm) from the origin. Elsewhere it is 0, so that one must try all four
    quadrants. An episode starts near the origin and ends at the horizon. The
    return is at most the way from the border of the dark region to the goal, about
    2.5. `info` has `success`: within 0.2 of the goal.

    References:
      Rothfuss et al., ProMP: Proximal Meta-Policy Search (2019), section 7,
      https://arxiv.org/abs/1810.06784; numbers as in its authors' code
      (jonasrothfuss/ProMP, point_env_2d_corner.py)
    """

    def __init__(self, horizon: int = 100):
        self.horizon = horizon
        self.observation_space = spaces.Box(-jnp.inf, jnp.inf, (2,))
        self.action_space = spaces.Box(-1.0, 1.0, (2,))

    def reset(self, key, task):
        position = jax.random.uniform(key, (2,), minval=-_START, maxval=_START)
        return position, CornersState(position, jnp.zeros((), jnp.int32))

    def step(self, key, state, action, task):
        position = state.position + _STEP * jnp.clip(action, -1.0, 1.0)
        before, after = _distance(state.position, task), _distance(position, task)
        same_quadrant = jnp.all(position * task > 0)
        lit = same_quadrant & (jnp.sum(jnp.abs(position)) >= _DARK)
        reward = jnp.where(lit, before - after, 0.0)
        info = {"success": (after < _STEP).astype(float)}
        state = CornersState(position, state.time + 1)
        truncated = state.time >= self.horizon
        return position, state, reward, jnp.array(False), truncated, info


def make(horizon: int = 100) -> tuple[PointCorners, TaskDistribution]:
    """Each of the four corners with equal probability.

    With four tasks, those of the test are those of training; what is held out is the
    test's data. `tasks.fixed["corners"]` is the four of them.

    Args:
      horizon: T; 100 as published.
    """
    horizon = checked_integer("horizon", horizon, minimum=1)
    tasks = TaskDistribution(
        train=_corner, test=_corner, fixed={"corners": lambda: jnp.asarray(_CORNERS)}
    )
    return PointCorners(horizon), tasks


def _corner(key):
    return jnp.asarray(_CORNERS)[jax.random.randint(key, (), 0, len(_CORNERS))]


def _distance(position, goal):
    return jnp.sqrt(jnp.sum((position - goal) ** 2))
