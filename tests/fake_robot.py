"""A stand-in for brax's robots, which compiles in no time."""

import jax
import jax.numpy as jnp
from brax.envs.base import State

METRICS = ("x_velocity", "y_velocity", "x_position", "y_position", "reward_dist")


class FakeRobot:
    """Moves along both axes by its first two actions, in m and steps of 1 s.

    The simulation is not finite where x exceeds 2.5, and far away where y does.
    """

    action_size = 2
    dt = 1.0
    sys = None

    def reset(self, key):
        zero = jnp.zeros(())
        metrics = dict.fromkeys(METRICS, zero)
        start = 1e-3 * jax.random.uniform(key, (3,)) * jnp.array([0.0, 0.0, 1.0])
        return State({"q": start}, self.observed(start), zero, zero, metrics)

    def step(self, state, action):
        position = state.pipeline_state["q"].at[:2].add(action)
        position = position.at[2].set(jnp.where(position[0] > 2.5, jnp.nan, 0.0))
        position = position.at[1].set(jnp.where(position[1] > 2.5, 1e6, position[1]))
        values = *action[:2], *position[:2], -jnp.linalg.norm(position[:2])
        state.metrics.update(
            zip(METRICS, values, strict=True)
        )  # in place, as brax does
        observation = self.observed(position)
        return state.replace(pipeline_state={"q": position}, obs=observation)

    def observed(self, position):
        return jnp.concatenate([position, jnp.zeros(5)])


FAKE_ROBOT = FakeRobot()
