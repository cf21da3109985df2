"""Brax's humanoid: run in an unknown direction.

A step has 0.015 s, and an action a has 17 numbers. The humanoid observes its height and
orientation, its joints and all velocities, the inertia and velocity of each of its
parts, and the torques of its motors, [244]. An episode ends where the torso is lower
than 1 m or higher than 2 m. `info` has `x_velocity` and `y_velocity`, the mean velocity
(v_x, v_y) of the centre of mass over the step, and what `robot.make_robot` says of all
robots.

References:
  Rothfuss et al., ProMP: Proximal Meta-Policy Search (2019),
  https://arxiv.org/abs/1810.06784, and its public code,
  https://github.com/jonasrothfuss/ProMP, `humanoid_rand_direc_2d.py`.
  Rakelly et al., Efficient Off-Policy Meta-Reinforcement Learning via Probabilistic
  Context Variables (2019), https://arxiv.org/abs/1903.08254, and its public code,
  https://github.com/katerakelly/oyster, `humanoid_dir.py`.
"""

from typing import Any

import jax.numpy as jnp

from envs.robots.robot import Robot, make_robot, velocity_along
from envs.tasks import TaskDistribution, any_angle

HUMANOID = Robot("humanoid", "Humanoid", metrics=("x_velocity", "y_velocity"))


def direction(
    horizon: int = 200, backend: str = "spring", physics_step: float | None = None
) -> tuple[Any, TaskDistribution]:
    """Run in any direction of the plane; the task is its angle from ahead in rad, [].

    The reward of a step is 1.25 (v_x cos(angle) + v_y sin(angle)) - 0.1 ||0.4 a||^2 + 5
    (the motors take 0.4 a). That is the reward of the sources, which divide a quarter
    of the way by one of the five steps of their physics, but for the cost of contact
    forces, which brax does not have. The directions of `tasks.any_angle` are held out
    of training. Options: `robot.make_robot`.
    """

    def reward(angle, action, metrics):
        progress = 1.25 * velocity_along(angle, metrics)
        return progress - 0.1 * jnp.sum((0.4 * action) ** 2) + 5.0

    env = make_robot(
        HUMANOID, reward, lambda angle: 5.0, horizon, backend, physics_step
    )
    return env, any_angle()
