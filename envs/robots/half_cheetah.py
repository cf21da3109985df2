"""Brax's planar half-cheetah: run at an unknown speed, or in an unknown direction.

A step has 0.05 s, and an action a has 6 numbers. The half-cheetah observes its height,
its pitch, its joints and all velocities, [17]. An episode has no terminal state. `info`
has `x_velocity`, the mean velocity v of the torso over the step, and what
`robot.make_robot` says of all robots.

References:
  Finn et al., Model-Agnostic Meta-Learning (2017), section 5.3,
  https://arxiv.org/abs/1703.03400, and its public code,
  https://github.com/cbfinn/maml_rl, `half_cheetah_env_rand.py`.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from envs.robots.robot import Robot, make_robot
from envs.tasks import TaskDistribution, either_direction, uniform

HALF_CHEETAH = Robot("half_cheetah", "Halfcheetah", metrics=("x_velocity",))


def velocity(
    horizon: int = 200, backend: str = "spring", physics_step: float | None = None
) -> tuple[Any, TaskDistribution]:
    """Run at an unknown speed; the task is the target velocity in m/s, [].

    The reward of a step is -|v - target| - 0.05 ||a||^2. Targets are uniform in [0, 2]
    for training and test, as published, and in [2, 3] out of distribution: faster than
    any seen, and backwards is no speed to run at. Options: `robot.make_robot`.
    """
    env = _half_cheetah(
        lambda target, velocity: -jnp.abs(velocity - target),
        lambda target: -target,
        horizon=horizon,
        backend=backend,
        physics_step=physics_step,
    )
    targets = uniform(0.0, 2.0)
    return env, TaskDistribution(train=targets, test=targets, ood=uniform(2.0, 3.0))


def direction(
    horizon: int = 200, backend: str = "spring", physics_step: float | None = None
) -> tuple[Any, TaskDistribution]:
    """Run forwards or backwards, as fast as possible; the task is -1 or 1, [].

    The reward of a step is direction * v - 0.05 ||a||^2. Both directions are equally
    likely; there are no others to hold out, and `tasks.fixed["directions"]` is each of
    them once, [2]. Options: `robot.make_robot`.
    """
    env = _half_cheetah(
        lambda direction, velocity: direction * velocity,
        lambda direction: 0.0,
        horizon=horizon,
        backend=backend,
        physics_step=physics_step,
    )
    return env, either_direction()


def _half_cheetah(
    progress: Callable[[Any, Any], Any],
    standing_still: Callable[[Any], Any],
    **options: Any,
) -> Any:
    """The half-cheetah, paid what `progress(task, velocity)` is less 0.05 ||a||^2."""

    def reward(task, action, metrics):
        return progress(task, metrics["x_velocity"]) - 0.05 * jnp.sum(action**2)

    return make_robot(HALF_CHEETAH, reward, standing_still, **options)
