"""Brax's two-jointed arm: reach an unknown place.

A step has 0.02 s, and an action a has 2 numbers. The arm observes the cosines and the
sines of its two angles and the velocity of its tip, [6], and neither the goal nor the
way to it, which gym's Reacher-v2 shows. An episode has no terminal state. `info` has
`reward_dist`, minus the distance from the tip to the goal after the step in m, and what
`robot.make_robot` says of all robots.
"""

import copy
from typing import Any

import jax.numpy as jnp
import numpy as np

from envs.robots.robot import Robot, make_robot
from envs.tasks import TaskDistribution, on_ring

REACHER = Robot("reacher", "Reacher", metrics=("reward_dist",))
_ARM = 0.21  # m; where it starts, stretched out ahead
_SEEN = np.array([0, 1, 2, 3, 6, 7])  # of brax's observation


def goal(
    horizon: int = 200, backend: str = "spring", physics_step: float | None = None
) -> tuple[Any, TaskDistribution]:
    """Reach an unknown place; the task is the goal in m, [2].

    The reward of a step is -||tip - goal|| - ||a||^2, with the tip where it is after
    the step; gym's Reacher-v2 has the same with the tip where it was before. Goals are
    uniform on the disc of radius 0.15 for training and test, and on the ring around it
    out of distribution, up to 0.2: together they are gym's. Options:
    `robot.make_robot`.
    """

    def reward(goal, action, metrics):
        return metrics["reward_dist"] - jnp.sum(action**2)

    env = make_robot(
        REACHER,
        reward,
        lambda goal: -jnp.linalg.norm(goal - jnp.array([_ARM, 0.0])),
        horizon,
        backend,
        physics_step,
        vary=_with_target,
        observe=lambda observation: observation[_SEEN],
    )
    near, far = on_ring(0.0, 0.15), on_ring(0.15, 0.2)
    return env, TaskDistribution(train=near, test=near, ood=far)


def _with_target(brax_env, goal):
    """An arm that does not draw its target."""
    changed = copy.copy(brax_env)
    changed._random_target = lambda key: (key, goal)
    return changed
