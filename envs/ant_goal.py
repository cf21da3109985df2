"""Ant goal: walk to an unknown place."""

from typing import Any

import jax
import jax.numpy as jnp

from envs.adapters import BACKENDS, from_brax, load_brax
from envs.options import checked_choice, checked_integer
from envs.tasks import TaskDistribution, around_square

_RADIUS = 3.0  # of the disc of goals, in m


def make(horizon: int = 200, backend: str = "spring") -> tuple[Any, TaskDistribution]:
    """Brax's four-legged ant; the task is the goal in m, [2].

    The reward of a step is -(|x - goal_x| + |y - goal_y|) - 0.1 ||a||^2, with the
    position of the torso after the step and the clipped action a, [8]; no bonus for
    surviving. The ant observes where it is, its joints and all velocities, [29]. An
    episode has no terminal state, not even on the back; if the simulation diverges, it
    ends with the reward of standing at the start for the rest of the episode. `info`
    has `x_position` and `y_position`.

    Rewards and goals are those of the public code of Rakelly et al.
    (https://github.com/katerakelly/oyster, `ant_goal.py`) but for the cost of contact
    forces, at most 0.0005 for each of their numbers, and the forces in its observation:
    brax has neither.

    Goals are uniform on the disc of radius 3 for training and test, and out of
    distribution in the frame around it, up to 4 along each axis.

    Args:
      horizon: T, steps of 0.05 s.
      backend: brax's physics: `spring` (the fastest on a CPU), `positional`,
        `generalized` or `mjx` (MuJoCo's). Returns differ between them.

    References:
      Rothfuss et al., ProMP: Proximal Meta-Policy Search (2019),
      https://arxiv.org/abs/1810.06784
      Rakelly et al., Efficient Off-Policy Meta-Reinforcement Learning via Probabilistic
      Context Variables (2019), https://arxiv.org/abs/1903.08254
    """
    horizon = checked_integer("horizon", horizon, minimum=1)
    backend = checked_choice("backend", backend, BACKENDS)
    ant = load_brax(
        "ant",
        "Ant",
        backend=backend,
        terminate_when_unhealthy=False,
        exclude_current_positions_from_observation=False,
    )
    env = from_brax(
        ant,
        reward=_reward,
        diverged_reward=_standing_still,
        horizon=horizon,
        metrics=("x_position", "y_position"),
    )
    outside = around_square(_RADIUS, 4.0)
    return env, TaskDistribution(train=_goal, test=_goal, ood=outside)


def _reward(goal, action, metrics):
    position = jnp.stack([metrics["x_position"], metrics["y_position"]])
    return -jnp.sum(jnp.abs(position - goal)) - 0.1 * jnp.sum(action**2)


def _standing_still(goal, steps_left):
    return -jnp.sum(jnp.abs(goal)) * steps_left


def _goal(key):
    angle_key, radius_key = jax.random.split(key)
    angle = jax.random.uniform(angle_key, maxval=2 * jnp.pi)
    radius = _RADIUS * jnp.sqrt(jax.random.uniform(radius_key))
    return radius * jnp.stack([jnp.cos(angle), jnp.sin(angle)])
