"""Brax's pole on a cart: balance a pole of unknown dynamics.

An action, [1], is the force on the cart in 300 N. The observation is the position of
the cart, the angle of the pole and their velocities, [4]. An episode ends where the
pole is further than 0.2 rad from upright, as in gym's InvertedPendulum-v2. `info` has
what `robot.make_robot` says of all robots.
"""

from typing import Any

import jax.numpy as jnp

from envs.robots.bodies import BODY_LIMIT, make_bodies
from envs.robots.robot import Robot
from envs.tasks import TaskDistribution

INVERTED_PENDULUM = Robot("inverted_pendulum", "InvertedPendulum", metrics=())


def params(
    horizon: int = 200,
    backend: str = "generalized",
    physics_step: float | None = 0.01,
    log_scale_limit: float = BODY_LIMIT,
) -> tuple[Any, TaskDistribution]:
    """Balance an unknown pole on an unknown cart; the task is a `bodies.Body`.

    The reward is 1 a step, of 0.04 s. The task has no friction, as nothing touches
    anything, and the joints' damping can be varied by `generalized` and `mjx` alone: in
    brax's other physics these joints have none. A step of the physics is half of brax's
    own, with which light poles that hit the end of the rail diverge. Options:
    `bodies.make_bodies`.
    """
    return make_bodies(
        INVERTED_PENDULUM,
        lambda body, action, metrics: jnp.float32(1.0),
        1.0,
        log_scale_limit,
        horizon,
        backend,
        physics_step,
        backends=("generalized", "mjx"),
    )
