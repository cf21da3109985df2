"""Brax's one-legged hopper: hop at a speed, in a direction, or with an unknown body.

A step has 0.008 s, and an action a has 3 numbers. The hopper observes its height, its
pitch, its joints and all velocities, clipped to 10, [11]. An episode ends where the
torso is lower than 0.7 m or pitched by more than 0.2 rad, or where a joint or velocity
exceeds 100, as in gym's Hopper-v2. `info` has `x_velocity`, the mean velocity v of the
torso over the step, and what `robot.make_robot` says of all robots.
"""

from typing import Any

from envs.robots.bodies import BODY_LIMIT
from envs.robots.robot import Robot
from envs.robots.upright import walk_at_speed, walk_either_way, walk_with_body
from envs.tasks import TaskDistribution

HOPPER = Robot("hopper", "Hopper", metrics=("x_velocity",))


def velocity(
    horizon: int = 200, backend: str = "spring", physics_step: float | None = None
) -> tuple[Any, TaskDistribution]:
    """Hop at an unknown speed; the task is the target velocity in m/s, [].

    The reward of a step is 3 - |v - target| - 0.001 ||a||^2, and targets are uniform
    in [0, 3] for training and test, and in [3, 4] out of distribution. No public code
    has this family: its reward is the walker's, with a bonus for surviving that makes
    standing still better than to fall for every target of training, as there. Options:
    `robot.make_robot`.
    """
    return walk_at_speed(HOPPER, 3.0, 3.0, 4.0, horizon, backend, physics_step)


def direction(
    horizon: int = 200, backend: str = "spring", physics_step: float | None = None
) -> tuple[Any, TaskDistribution]:
    """Hop forwards or backwards, as fast as possible; the task is -1 or 1, [].

    The reward of a step is direction * v + 1 - 0.001 ||a||^2, the walker's. Both
    directions are equally likely; there are no others to hold out, and
    `tasks.fixed["directions"]` is each of them once, [2]. Options: `robot.make_robot`.
    """
    return walk_either_way(HOPPER, horizon, backend, physics_step)


def params(
    horizon: int = 200,
    backend: str = "spring",
    physics_step: float | None = None,
    log_scale_limit: float = BODY_LIMIT,
) -> tuple[Any, TaskDistribution]:
    """Hop forwards with an unknown body; the task is a `bodies.Body`.

    The reward of a step is v + 1 - 0.001 ||a||^2, as in the public code of the
    literature's bodies (`bodies.make_bodies`). Options: `bodies.make_bodies`.
    """
    return walk_with_body(HOPPER, log_scale_limit, horizon, backend, physics_step)
