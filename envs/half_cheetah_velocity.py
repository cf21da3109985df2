"""Half-cheetah velocity: run at an unknown speed."""

from typing import Any

import jax.numpy as jnp

from envs.adapters import from_brax, load_brax
from envs.options import checked_choice, checked_integer
from envs.tasks import TaskDistribution, uniform

_BACKENDS = ("spring", "positional", "generalized", "mjx")


def make(horizon: int = 200, backend: str = "spring") -> tuple[Any, TaskDistribution]:
    """Brax's planar half-cheetah; the task is the target velocity in m/s, [].

    The reward of a step is -|v - target| - 0.05 ||a||^2, where v is the mean velocity
    of the torso over the step and a the clipped action, [6]. An episode has no
    terminal state; if the simulation diverges, it ends with the reward of standing
    still for the rest of the episode. `info` has `x_velocity`, v.

    Targets are uniform in [0, 2] for training and test, as published, and in [2, 3]
    out of distribution: faster than any seen, and backwards is no speed to run at.

    Args:
      horizon: T, steps of 0.05 s.
      backend: brax's physics: `spring` (the fastest on a CPU), `positional`,
        `generalized` or `mjx` (MuJoCo's). Returns differ between them.

    References:
      Finn et al., Model-Agnostic Meta-Learning (2017), section 5.3,
      https://arxiv.org/abs/1703.03400
    """
    horizon = checked_integer("horizon", horizon, minimum=1)
    backend = checked_choice("backend", backend, _BACKENDS)
    env = from_brax(
        load_brax("half_cheetah", "Halfcheetah", backend=backend),
        reward=_reward,
        diverged_reward=_standing_still,
        horizon=horizon,
        metrics=("x_velocity",),
    )
    targets = uniform(0.0, 2.0)
    return env, TaskDistribution(train=targets, test=targets, ood=uniform(2.0, 3.0))


def _reward(task, action, metrics):
    return -jnp.abs(metrics["x_velocity"] - task) - 0.05 * jnp.sum(action**2)


def _standing_still(task, steps_left):
    return -task * steps_left
