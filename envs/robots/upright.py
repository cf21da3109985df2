"""What robots that walk upright share: gym's hopper and walker are paid alike."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from envs.robots.bodies import make_bodies
from envs.robots.robot import Robot, make_robot
from envs.tasks import TaskDistribution, either_direction, uniform


def paid_to_walk(
    progress: Callable[[Any, Any], Any], alive: float = 1.0
) -> Callable[[Any, jax.Array, dict[str, jax.Array]], jax.Array]:
    """`progress(task, velocity)` and a bonus for surviving, less 0.001 ||a||^2."""

    def reward(task, action, metrics):
        paid = progress(task, metrics["x_velocity"])
        return paid + alive - 1e-3 * jnp.sum(action**2)

    return reward


def walk_at_speed(
    robot: Robot, alive: float, fastest: float, beyond: float, *settings: Any
) -> tuple[Any, TaskDistribution]:
    """Paid `alive` - |v - target| - 0.001 ||a||^2; the task is the target in m/s, [].

    Args:
      robot: which one.
      alive: the bonus for surviving.
      fastest: of targets in training and test, which are uniform from 0 on, in m/s.
      beyond: of those out of distribution, which are uniform from `fastest` on.
      *settings: as in `walk_either_way`.
    """
    off_target = lambda target, velocity: -jnp.abs(velocity - target)
    reward = paid_to_walk(off_target, alive)
    env = make_robot(robot, reward, lambda target: alive - target, *settings)
    targets, faster = uniform(0.0, fastest), uniform(fastest, beyond)
    return env, TaskDistribution(train=targets, test=targets, ood=faster)


def walk_either_way(robot: Robot, *settings: Any) -> tuple[Any, TaskDistribution]:
    """Paid direction * v + 1 - 0.001 ||a||^2; the task is the direction, -1 or 1.

    Args:
      robot: which one.
      *settings: `horizon`, `backend` and `physics_step` of `make_robot`.
    """
    reward = paid_to_walk(lambda direction, velocity: direction * velocity)
    env = make_robot(robot, reward, lambda direction: 1.0, *settings)
    return env, either_direction()


def walk_with_body(
    robot: Robot, log_scale_limit: float, *settings: Any
) -> tuple[Any, TaskDistribution]:
    """Paid v + 1 - 0.001 ||a||^2; the task is a `bodies.Body`.

    Args:
      robot: which one.
      log_scale_limit: as in `make_bodies`.
      *settings: as in `walk_either_way`.
    """
    reward = paid_to_walk(lambda body, velocity: velocity)
    return make_bodies(robot, reward, 1.0, log_scale_limit, *settings)
