"""The reward of robots that walk upright, as gym has it for its hopper and walker."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def paid_to_walk(
    progress: Callable[[Any, Any], Any], alive: float = 1.0
) -> Callable[[Any, jax.Array, dict[str, jax.Array]], jax.Array]:
    """`progress(task, velocity)` and a bonus for surviving, less 0.001 ||a||^2."""

    def reward(task, action, metrics):
        paid = progress(task, metrics["x_velocity"])
        return paid + alive - 1e-3 * jnp.sum(action**2)

    return reward
