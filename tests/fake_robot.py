"""A stand-in for brax's robots, which compiles in no time."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from brax.envs.base import State

METRICS = ("x_velocity", "y_velocity", "x_position", "y_position", "reward_dist")


class Pipeline(NamedTuple):
    """What is simulated."""

    q: Any  # [3]: x, y and what is drawn at the start
    qd: Any  # [2]: the velocities along x and y


class System:
    """No physics, whatever its parameters are."""

    def tree_replace(self, fields):
        return self


class FakeRobot:
    """Moves along both axes by its first two actions, in m and steps of 1 s.

    One action alone moves it along both.

    The simulation is not finite where x exceeds 2.5, and far away where y does; the
    velocity is too great where y is lower than -2.5. The robot has fallen where x is
    lower than -2.5.
    """

    action_size = 2
    backend = "spring"
    dt = 1.0
    sys = System()

    def reset(self, key):
        zero = jnp.zeros(())
        metrics = dict.fromkeys(METRICS, zero)
        start = 1e-3 * jax.random.uniform(key, (3,)) * jnp.array([0.0, 0.0, 1.0])
        simulated = Pipeline(start, jnp.zeros(2))
        return State(simulated, self.observed(start), zero, zero, metrics)

    def step(self, state, action):
        action = jnp.resize(action, 2)
        position = state.pipeline_state.q.at[:2].add(action)
        x, y = position[:2]
        position = position.at[2].set(jnp.where(x > 2.5, jnp.nan, 0.0))
        position = position.at[1].set(jnp.where(y > 2.5, 1e6, y))
        velocity = jnp.where(y < -2.5, 1e6, action[:2])
        to_target = position[:2] - self._random_target(None)[1]
        values = *action[:2], *position[:2], -jnp.linalg.norm(to_target)
        state.metrics.update(
            zip(METRICS, values, strict=True)
        )  # in place, as brax does
        return state.replace(
            pipeline_state=Pipeline(position, velocity),
            obs=self.observed(position),
            done=jnp.where(x < -2.5, 1.0, 0.0),
        )

    def observed(self, position):
        """As brax's robots observe: neither x nor how great a velocity is."""
        return jnp.clip(jnp.append(position[1:], jnp.zeros(6)), -10.0, 10.0)

    def _random_target(self, key):
        return key, jnp.zeros(2)


FAKE_ROBOT = FakeRobot()
