"""Brax's planar walker: walk at a speed, in a direction, or with an unknown body.

A step has 0.008 s, and an action a has 6 numbers. The walker observes its height, its
pitch, its joints and all velocities, clipped to 10, [17]. An episode ends where the
torso is lower than 0.8 m or higher than 2 m, or pitched by more than 1 rad. `info` has
`x_velocity`, the mean velocity v of the torso over the step, and what
`robot.make_robot` says of all robots.

References:
  Rothfuss et al., ProMP: Proximal Meta-Policy Search (2019),
  https://arxiv.org/abs/1810.06784, and its public code,
  https://github.com/jonasrothfuss/ProMP, `walker2d_rand_vel.py` and
  `walker2d_rand_direc.py`, whose steps are twice as long, 0.016 s.
"""

from typing import Any

from envs.robots.bodies import BODY_LIMIT
from envs.robots.robot import Robot
from envs.robots.upright import walk_at_speed, walk_either_way, walk_with_body
from envs.tasks import TaskDistribution

WALKER = Robot("walker2d", "Walker2d", metrics=("x_velocity",))


def velocity(
    horizon: int = 200, backend: str = "spring", physics_step: float | None = None
) -> tuple[Any, TaskDistribution]:
    """Walk at an unknown speed; the task is the target velocity in m/s, [].

    The reward of a step is 15 - |v - target| - 0.001 ||a||^2, and targets are uniform
    in [0, 10] for training and test, both as in the code of Rothfuss et al.; in
    [10, 12] out of distribution. Options: `robot.make_robot`.
    """
    return walk_at_speed(WALKER, 15.0, 10.0, 12.0, horizon, backend, physics_step)


def direction(
    horizon: int = 200, backend: str = "spring", physics_step: float | None = None
) -> tuple[Any, TaskDistribution]:
    """Walk forwards or backwards, as fast as possible; the task is -1 or 1, [].

    The reward of a step is direction * v + 1 - 0.001 ||a||^2, as in the code of
    Rothfuss et al. Both directions are equally likely; there are no others to hold out,
    and `tasks.fixed["directions"]` is each of them once, [2]. Options:
    `robot.make_robot`.
    """
    return walk_either_way(WALKER, horizon, backend, physics_step)


def params(
    horizon: int = 200,
    backend: str = "spring",
    physics_step: float | None = None,
    log_scale_limit: float = BODY_LIMIT,
) -> tuple[Any, TaskDistribution]:
    """Walk forwards with an unknown body; the task is a `bodies.Body`.

    The reward of a step is v + 1 - 0.001 ||a||^2, as in the public code of the
    literature's bodies (`bodies.make_bodies`). Options: `bodies.make_bodies`.
    """
    return walk_with_body(WALKER, log_scale_limit, horizon, backend, physics_step)
