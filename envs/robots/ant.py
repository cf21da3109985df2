"""Brax's four-legged ant: run at a speed, in a direction, or to a place.

A step has 0.05 s, and an action a has 8 numbers. The ant observes the height and
orientation of its torso, its joints and all velocities, [27]. `info` has `x_velocity`
and `y_velocity`, the mean velocity (v_x, v_y) of the torso over the step, `x_position`
and `y_position`, and what `robot.make_robot` says of all robots.

An episode ends where the centre of the torso is lower than 0.2 m or higher than 1 m, in
`velocity` and `direction` as in the code of Finn et al., in `any_direction` as in that
of Rakelly et al. (Rothfuss et al. have 0 for 0.2), and in `goal` never. The torso is a
ball of radius 0.25 m: an ant that lies on its back goes on.

Brax has no contact forces. The rewards of the sources have a cost of them, of at most
0.0005 for each of their numbers (six for each body), and their ants observe them.

References:
  Finn et al., Model-Agnostic Meta-Learning (2017), section 5.3,
  https://arxiv.org/abs/1703.03400, and its public code,
  https://github.com/cbfinn/maml_rl, `ant_env_rand.py` and `ant_env_rand_direc.py`.
  Rothfuss et al., ProMP: Proximal Meta-Policy Search (2019),
  https://arxiv.org/abs/1810.06784, and its public code,
  https://github.com/jonasrothfuss/ProMP, `ant_rand_direc_2d.py`.
  Rakelly et al., Efficient Off-Policy Meta-Reinforcement Learning via Probabilistic
  Context Variables (2019), https://arxiv.org/abs/1903.08254, and its public code,
  https://github.com/katerakelly/oyster, `ant_dir.py` and `ant_goal.py`.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from envs.robots.robot import Robot, make_robot, velocity_along
from envs.tasks import (
    TaskDistribution,
    any_angle,
    around_square,
    either_direction,
    on_ring,
    uniform,
)

_METRICS = ("x_velocity", "y_velocity", "x_position", "y_position")
ANT = Robot("ant", "Ant", _METRICS)  # brax's own limits of the height are [0.2, 1.0]
GOAL_ANT = Robot(
    "ant",
    "Ant",
    _METRICS,
    (
        ("terminate_when_unhealthy", False),
        ("exclude_current_positions_from_observation", False),
    ),
)


def velocity(
    horizon: int = 200, backend: str = "spring", physics_step: float | None = None
) -> tuple[Any, TaskDistribution]:
    """Run at an unknown speed; the task is the target velocity in m/s, [].

    The reward of a step is 1 - |v_x - target| - 0.005 ||a||^2 + 0.05, that of Finn et
    al. but for the contact forces. Targets are uniform in [0, 3] for training and test,
    as published, and in [3, 4] out of distribution. Options: `robot.make_robot`.
    """
    env = _running_ant(
        lambda target, metrics: 1.0 - jnp.abs(metrics["x_velocity"] - target),
        lambda target: 1.05 - target,
        horizon=horizon,
        backend=backend,
        physics_step=physics_step,
    )
    targets = uniform(0.0, 3.0)
    return env, TaskDistribution(train=targets, test=targets, ood=uniform(3.0, 4.0))


def direction(
    horizon: int = 200, backend: str = "spring", physics_step: float | None = None
) -> tuple[Any, TaskDistribution]:
    """Run forwards or backwards, as fast as possible; the task is -1 or 1, [].

    The reward of a step is direction * v_x - 0.005 ||a||^2 + 0.05, that of Finn et al.
    but for the contact forces. Both directions are equally likely; there are no others
    to hold out, and `tasks.fixed["directions"]` is each of them once, [2]. Options:
    `robot.make_robot`.
    """
    env = _running_ant(
        lambda direction, metrics: direction * metrics["x_velocity"],
        lambda direction: 0.05,
        horizon=horizon,
        backend=backend,
        physics_step=physics_step,
    )
    return env, either_direction()


def any_direction(
    horizon: int = 200, backend: str = "spring", physics_step: float | None = None
) -> tuple[Any, TaskDistribution]:
    """Run in any direction of the plane; the task is its angle from ahead in rad, [].

    The reward of a step is v_x cos(angle) + v_y sin(angle) - 0.5 ||a||^2 + 1, that of
    Rothfuss et al. and Rakelly et al. but for the contact forces. The directions of
    `tasks.any_angle` are held out of training. Options: `robot.make_robot`.
    """

    def reward(angle, action, metrics):
        return velocity_along(angle, metrics) - 0.5 * jnp.sum(action**2) + 1.0

    env = make_robot(ANT, reward, lambda angle: 1.0, horizon, backend, physics_step)
    return env, any_angle()


def goal(
    horizon: int = 200, backend: str = "spring", physics_step: float | None = None
) -> tuple[Any, TaskDistribution]:
    """Walk to an unknown place; the task is the goal in m, [2].

    The reward of a step is -(|x - goal_x| + |y - goal_y|) - 0.1 ||a||^2, with the
    position of the torso after the step; no bonus for surviving. The ant observes where
    it is as well, [29], and an episode has no terminal state.
    Rewards and goals are those of Rakelly et al. but for the contact forces.

    Goals are uniform on the disc of radius 3 for training and test, and out of
    distribution in the frame around it, up to 4 along each axis. Options:
    `robot.make_robot`.
    """

    def reward(goal, action, metrics):
        position = jnp.stack([metrics["x_position"], metrics["y_position"]])
        return -jnp.sum(jnp.abs(position - goal)) - 0.1 * jnp.sum(action**2)

    env = make_robot(
        GOAL_ANT,
        reward,
        lambda goal: -jnp.sum(jnp.abs(goal)),
        horizon,
        backend,
        physics_step,
    )
    goals, around = on_ring(0.0, 3.0), around_square(3.0, 4.0)
    return env, TaskDistribution(train=goals, test=goals, ood=around)


def _running_ant(
    progress: Callable[[Any, Any], Any],
    standing_still: Callable[[Any], Any],
    **options: Any,
) -> Any:
    """Paid what `progress(task, metrics)` is, 0.05 to survive, less 0.005 ||a||^2."""

    def reward(task, action, metrics):
        return progress(task, metrics) - 0.005 * jnp.sum(action**2) + 0.05

    return make_robot(ANT, reward, standing_still, **options)
