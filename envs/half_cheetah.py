"""What the tasks of brax's planar half-cheetah share."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from envs.adapters import BACKENDS, from_brax, load_brax
from envs.options import checked_choice, checked_integer


def half_cheetah(
    horizon: int,
    backend: str,
    progress: Callable[[Any, Any], Any],
    standing_still: Callable[[Any], Any],
) -> Any:
    """The half-cheetah, paid for its velocity less 0.05 ||a||^2.

    A step has 0.05 s; a is the clipped action, [6]. An episode has no terminal state;
    if the simulation diverges, it ends with the reward of standing still for the rest
    of the episode. `info` has `x_velocity`, the mean velocity of the torso over the
    step.

    Args:
      horizon: T.
      backend: one of `adapters.BACKENDS`.
      progress: `(task, velocity) -> scalar`, what a velocity is worth.
      standing_still: `task -> scalar`, the reward of a step without moving.

    References:
      Finn et al., Model-Agnostic Meta-Learning (2017), section 5.3,
      https://arxiv.org/abs/1703.03400
    """
    horizon = checked_integer("horizon", horizon, minimum=1)
    backend = checked_choice("backend", backend, BACKENDS)

    def reward(task, action, metrics):
        return progress(task, metrics["x_velocity"]) - 0.05 * jnp.sum(action**2)

    return from_brax(
        load_brax("half_cheetah", "Halfcheetah", backend=backend),
        reward=reward,
        diverged_reward=lambda task, steps_left: standing_still(task) * steps_left,
        horizon=horizon,
        metrics=("x_velocity",),
    )
