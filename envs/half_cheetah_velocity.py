"""Half-cheetah velocity: run at an unknown speed."""

from typing import Any

import jax.numpy as jnp

from envs.half_cheetah import half_cheetah
from envs.tasks import TaskDistribution, uniform


def make(horizon: int = 200, backend: str = "spring") -> tuple[Any, TaskDistribution]:
    """Brax's planar half-cheetah; the task is the target velocity in m/s, [].

    The reward of a step is -|v - target| - 0.05 ||a||^2, where v is the mean velocity
    of the torso over the step and a the clipped action, [6]; `info` has `x_velocity`,
    v. How episodes end is said in `half_cheetah`.

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
    env = half_cheetah(
        horizon,
        backend,
        progress=lambda target, velocity: -jnp.abs(velocity - target),
        standing_still=lambda target: -target,
    )
    targets = uniform(0.0, 2.0)
    return env, TaskDistribution(train=targets, test=targets, ood=uniform(2.0, 3.0))
