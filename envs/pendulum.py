"""Pendulum: swing up and hold a pendulum of unknown size and motor."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from gymnax.environments.classic_control import pendulum

from envs.adapters import from_gymnax
from envs.options import checked_boolean, checked_integer
from envs.tasks import TaskDistribution, uniform, with_either_sign


class PendulumTask(NamedTuple):
    """The physics of one pendulum, [] each."""

    length: Any  # m
    mass: Any  # kg
    gravity: Any  # m/s^2
    torque: Any  # N m; of the motor under action 1, and its opposite under -1


_TRAIN = (
    PendulumTask(length=0.7, mass=0.7, gravity=8.0, torque=1.5),
    PendulumTask(length=1.3, mass=1.3, gravity=12.0, torque=2.5),
)
_OOD = (
    PendulumTask(length=1.3, mass=1.3, gravity=8.0, torque=1.5),
    PendulumTask(length=1.6, mass=1.6, gravity=12.0, torque=2.5),
)


def make(
    horizon: int = 200, signed_torque: bool = True
) -> tuple[Any, TaskDistribution]:
    """Gymnax's Pendulum-v1; the task is a `PendulumTask`.

    Observes the cosine and sine of the angle from upright and the angular velocity
    (rad/s, within 8), [3]; the action is the torque as a fraction of the motor's,
    [1]. The reward of a step is -(angle^2 + 0.1 velocity^2 + 0.001 torque^2) before
    the move. An episode starts at any angle and has no terminal state.

    Parameters are independent and uniform, for training and test: length and mass
    0.7 to 1.3, gravity 8 to 12, magnitude of the torque 1.5 to 2.5, about the usual
    values (1, 1, 10, 2): most pendulums must be swung to and fro to get up. Out of
    distribution it is longer and heavier (1.3 to 1.6 both), the rest as in training.

    The torque has either sign with equal probability, so that an agent must find out
    which way its motor turns. Without it there is next to nothing to adapt to: one
    network of 16 units (the best of three that an evolution strategy trained on 16
    tasks) has a mean return of -146, as a good policy has on the usual pendulum
    alone. With it the best of three has -430.

    Args:
      horizon: T, steps of 0.05 s.
      signed_torque: False keeps the sign of the torque positive.
    """
    horizon = checked_integer("horizon", horizon, minimum=1)
    signed_torque = checked_boolean("signed_torque", signed_torque)
    env = from_gymnax(pendulum.Pendulum(), _params, horizon, _torque)
    train, ood = uniform(*_TRAIN), uniform(*_OOD)
    if signed_torque:
        train, ood = with_either_sign(train, "torque"), with_either_sign(ood, "torque")
    return env, TaskDistribution(train=train, test=train, ood=ood)


def _params(task):
    return pendulum.EnvParams(
        l=task.length, m=task.mass, g=task.gravity, max_torque=jnp.abs(task.torque)
    )


def _torque(action, task):
    return task.torque * action
