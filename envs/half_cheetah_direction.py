"""Half-cheetah direction: run forwards or backwards, as fast as possible."""

from typing import Any

import jax
import jax.numpy as jnp

from envs.half_cheetah import half_cheetah
from envs.tasks import TaskDistribution


def make(horizon: int = 200, backend: str = "spring") -> tuple[Any, TaskDistribution]:
    """Brax's planar half-cheetah; the task is the direction, -1 or 1, [].

    The reward of a step is direction * v - 0.05 ||a||^2, where v is the mean velocity
    of the torso over the step and a the clipped action, [6]; `info` has `x_velocity`,
    v. How episodes end is said in `half_cheetah`.

    Both directions are equally likely. There are no others to hold out: test tasks are
    those of training, and `tasks.fixed["directions"]` is each of them once, [2].

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
        progress=lambda direction, velocity: direction * velocity,
        standing_still=lambda direction: 0.0,
    )
    direction = lambda key: jax.random.rademacher(key, (), jnp.float32)
    both = {"directions": lambda: jnp.array([-1.0, 1.0])}
    return env, TaskDistribution(train=direction, test=direction, fixed=both)
