"""What the families of all robots share: how a robot is made, and paid."""

import copy
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from envs.adapters import BACKENDS, from_brax, load_brax
from envs.options import checked_choice, checked_integer, checked_physics_step

# backends that are faster side by side -> how many robots that takes on a CPU
_ROWS_AT_ONCE = {"spring": 128}


class Robot(NamedTuple):
    """A robot of brax, as all of its families have it."""

    module: str  # of brax's environments, e.g. `half_cheetah`
    name: str  # of the class in that module
    metrics: tuple[str, ...]  # of brax's metrics: what `info` reports
    options: tuple[tuple[str, Any], ...] = ()  # of the class


def make_robot(
    robot: Robot,
    reward: Callable[[Any, jax.Array, dict[str, jax.Array]], jax.Array],
    standing_still: Callable[[Any], Any],
    horizon: int,
    backend: str,
    physics_step: float | None,
    *,
    backends: Sequence[str] = BACKENDS,
    vary: Callable[[Any, Any], Any] | None = None,
    observe: Callable[[jax.Array], jax.Array] | None = None,
) -> Any:
    """Makes the environment of one family.

    All families of robots have these in common:

    - Actions are clipped to [-1, 1]; what is not a number counts as 0.
    - An episode ends where brax's robot says so, if it does (a hopper that falls), and
      where the simulation diverges: a value that is not finite, or a generalized
      coordinate or velocity beyond 1e4. The observation then stays the last one, and
      the reward is that of standing still for the rest of the episode where that is a
      loss and zero where it is not. So to diverge is never better than to stand still
      where the episode began; it is better than what is worse than that, such as to run
      the wrong way.
    - `info` has `diverged`, 1.0 in such a step and 0.0 in all others, beside the
      `metrics` of the robot.
    - Where the task is in the reward alone, an episode starts in one of 256 states that
      brax's `reset` has drawn once.
    - Backends of brax: `spring` (the fastest), `positional`, `generalized` and `mjx`
      (MuJoCo's). They are different physics: returns do not compare between them.

    Args:
      robot: which one.
      reward: `(task, action, metrics) -> scalar`, from the clipped action and brax's
        metrics of the step.
      standing_still: `task -> scalar`, the reward of a step without moving.
      horizon: T.
      backend: one of `backends`.
      physics_step: seconds of one step of the physics; the control step is as long as
        ever, and has more or fewer of them. None: brax's own for this backend.
      backends: that the family can do with.
      vary: `(brax_env, task) -> brax_env`, a copy with the physics of the task.
      observe: what of brax's observation the agent observes; by default all.

    Raises:
      ValueError: for an option out of range, in one line that names the mend.
    """
    horizon = checked_integer("horizon", horizon, minimum=1)
    backend = checked_choice("backend", backend, backends)
    options = dict(robot.options)
    brax_env = load_brax(robot.module, robot.name, backend=backend, **options)
    if physics_step is not None:
        num_steps = checked_physics_step(physics_step, float(brax_env.dt))
        brax_env = _with_physics_steps(brax_env, num_steps)
    return from_brax(
        brax_env,
        reward=reward,
        diverged_reward=lambda task, steps_left: jnp.minimum(
            standing_still(task) * steps_left, 0.0
        ),
        horizon=horizon,
        metrics=robot.metrics,
        vary=vary,
        observe=observe,
        rows_at_once=_ROWS_AT_ONCE.get(backend, 1),
    )


def velocity_along(angle: jax.Array, metrics: dict[str, jax.Array]) -> jax.Array:
    """The velocity in m/s, [], in the direction at `angle` from ahead in rad, []."""
    ahead = jnp.cos(angle) * metrics["x_velocity"]
    aside = jnp.sin(angle) * metrics["y_velocity"]
    return ahead + aside


@functools.cache
def _with_physics_steps(brax_env: Any, number: int) -> Any:
    """With so many steps of the physics in a control step, which stays as long."""
    changed = copy.copy(brax_env)
    changed.sys = brax_env.sys.tree_replace({"opt.timestep": brax_env.dt / number})
    changed._n_frames = number  # brax has no other way to change it
    return changed
