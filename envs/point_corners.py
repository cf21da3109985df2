"""Four corners: find the one that pays, far from where the point starts."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from gymnax.environments import spaces

from envs.options import checked_integer
from envs.tasks import TaskDistribution

_CORNERS = ((-2.0, -2.0), (2.0, -2.0), (-2.0, 2.0), (2.0, 2.0))
_START = 0.2  # the half-width of the square in which episodes start
_STEP = 0.2  # the longest move of one step along each axis
_RADIUS = 0.5  # the distance from the goal within which it pays


class PointCornersState(NamedTuple):
    position: jax.Array  # [2]
    time: jax.Array  # []


class PointCorners:
    """A point that is paid only near its goal; the task is the goal, [2].

    Starts uniformly within 0.2 of the origin along each axis, observes its position
    and moves by up to 0.2 along each axis. The reward is max(0.5 - d, 0), where d is
    the distance to the goal after the move: a rollout that never comes near the goal
    has no reward to learn from. An episode has no terminal state. `info` has
    `success`, 1 within the radius of 0.5 and 0 elsewhere.

    The task is that of Rothfuss et al.; corners, start and steps are those of their
    public code (https://github.com/jonasrothfuss/ProMP, `point_env_2d_corner.py`), but
    the reward is another. At commit 2716678 that code pays the progress towards the
    goal wherever the goal is the nearest corner, beyond 0.5 of the origin in the
    1-norm. Such a reward does not charge the way out of its region and pays for every
    way in, so that stepping to and fro over the edge earns more than the corner. The
    reward here is the one that this code keeps as a comment, with its radius of 0.5.
    Another task of that code, `MetaPointEnvMomentum`, has the same corners, a velocity
    in the state and a radius of 2; scripts that compare exploration use that one.

    References:
      Rothfuss et al., ProMP: Proximal Meta-Policy Search (2019),
      https://arxiv.org/abs/1810.06784
    """

    def __init__(self, horizon: int = 100):
        self.horizon = horizon
        self.observation_space = spaces.Box(-jnp.inf, jnp.inf, (2,))
        self.action_space = spaces.Box(-1.0, 1.0, (2,))

    def reset(self, key, task):
        position = jax.random.uniform(key, (2,), minval=-_START, maxval=_START)
        state = PointCornersState(position, jnp.zeros((), jnp.int32))
        return state.position, state

    def step(self, key, state, action, task):
        position = state.position + _STEP * jnp.clip(action, -1.0, 1.0)
        distance = jnp.sqrt(jnp.sum((position - task) ** 2))
        reward = jnp.maximum(_RADIUS - distance, 0.0)
        state = PointCornersState(position, state.time + 1)
        truncated = state.time >= self.horizon
        info = {"success": (distance < _RADIUS).astype(jnp.float32)}
        return position, state, reward, jnp.zeros((), bool), truncated, info


def make(horizon: int = 100) -> tuple[PointCorners, TaskDistribution]:
    """Goals are the four corners (+-2, +-2), with equal probability.

    There are no others to hold out: test tasks are those of training, and
    `tasks.fixed["corners"]` is each of them once, [4, 2]. Goals out of distribution
    are as far from the origin, within 22.5 degrees of an axis: no point is within the
    radius of such a goal and of a corner.

    Args:
      horizon: T; 100 in the public code.
    """
    horizon = checked_integer("horizon", horizon, minimum=1)
    tasks = TaskDistribution(
        train=_corner, test=_corner, ood=_between, fixed={"corners": _corners}
    )
    return PointCorners(horizon), tasks


def _corners():
    return jnp.array(_CORNERS)


def _corner(key):
    return jax.random.choice(key, _corners())


def _between(key):
    """As far as the corners, in a direction closer to an axis than to a diagonal."""
    axis_key, angle_key = jax.random.split(key)
    quarter_turns = jax.random.randint(axis_key, (), 0, 4)
    offset = jax.random.uniform(angle_key, minval=-jnp.pi / 8, maxval=jnp.pi / 8)
    angle = 0.5 * jnp.pi * quarter_turns + offset
    return jnp.hypot(2.0, 2.0) * jnp.array([jnp.cos(angle), jnp.sin(angle)])
