"""Sparse point robot: find the goal on a half circle that nothing points to."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from gymnax.environments import spaces

from envs.options import checked_choice, checked_integer, checked_number
from envs.tasks import TaskDistribution

_STEP = 0.1  # the longest move of one step along each axis
_REWARDS = ("sparse", "dense")


class PointHalfCircleState(NamedTuple):
    position: jax.Array  # [2]
    time: jax.Array  # []


class PointHalfCircle:
    """A point that is paid only near its goal on the unit circle; the task is the goal.

    Starts at the origin, observes its position and moves by up to 0.1 along each axis.
    With d the distance to the goal, [2], after the move, the sparse reward is 1 - d
    within `goal_radius` and 0 elsewhere, the dense one -d. An episode has no terminal
    state. `info` has both as `sparse_reward` and `dense_reward`: PEARL trains on dense
    rewards what it tests, and what its encoder reads, on sparse ones.

    References:
      Rakelly et al., Efficient Off-Policy Meta-Reinforcement Learning via Probabilistic
      Context Variables (2019), https://arxiv.org/abs/1903.08254
    """

    def __init__(self, horizon: int, goal_radius: float, reward: str):
        self.horizon = horizon
        self.observation_space = spaces.Box(-jnp.inf, jnp.inf, (2,))
        self.action_space = spaces.Box(-1.0, 1.0, (2,))
        self._goal_radius = goal_radius
        self._reward = f"{reward}_reward"

    def reset(self, key, task):
        state = PointHalfCircleState(jnp.zeros(2), jnp.zeros((), jnp.int32))
        return state.position, state

    def step(self, key, state, action, task):
        position = state.position + _STEP * jnp.clip(action, -1.0, 1.0)
        distance = jnp.sqrt(jnp.sum((position - task) ** 2))
        sparse = jnp.where(distance <= self._goal_radius, 1.0 - distance, 0.0)
        info = {"sparse_reward": sparse, "dense_reward": -distance}
        state = PointHalfCircleState(position, state.time + 1)
        truncated = state.time >= self.horizon
        never = jnp.zeros((), bool)
        return position, state, info[self._reward], never, truncated, info


def make(
    horizon: int = 20, goal_radius: float = 0.2, reward: str = "sparse"
) -> tuple[PointHalfCircle, TaskDistribution]:
    """Goals uniform on the upper half of the unit circle; the lower half is outside.

    `tasks.fixed["rakelly2019"]` is the 20 test goals of the public code
    (https://github.com/katerakelly/oyster), which are among 100 that divide the half
    circle evenly; the other 80 are its training goals.

    Args:
      horizon: T; 20 as published.
      goal_radius: of the region that pays; 0.2 as in the public code. 0.3 is also used.
      reward: `sparse` or `dense`: which of the two is the reward.
    """
    env = PointHalfCircle(
        checked_integer("horizon", horizon, minimum=1),
        checked_number("goal_radius", goal_radius, minimum=0),
        checked_choice("reward", reward, _REWARDS),
    )
    upper, lower = _goal_between(0.0, jnp.pi), _goal_between(jnp.pi, 2 * jnp.pi)
    fixed = {"rakelly2019": _published_goals}
    return env, TaskDistribution(train=upper, test=upper, ood=lower, fixed=fixed)


def _goal_between(first, last):
    def goal(key):
        angle = jax.random.uniform(key, minval=first, maxval=last)
        return jnp.stack([jnp.cos(angle), jnp.sin(angle)])

    return goal


def _published_goals():
    """The 20 test goals of the public code of Rakelly et al. (2019), [20, 2]."""
    angle = np.linspace(0, np.pi, 100)
    np.random.RandomState(1337).shuffle(angle)
    goals = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return jnp.asarray(goals[-20:], jnp.float32)
