"""Where the best robot would be: something to look at beside one that learns.

The mark of a family is `(task, seconds [F] since the reset) -> [F, 2]`, in m on the
ground. Families whose task is no place and no speed, such as a direction or a body,
have none.
"""

import jax.numpy as jnp


def _ahead(speed, seconds):
    """Along x, at the target velocity from the first moment on."""
    return jnp.stack([speed * seconds, jnp.zeros_like(seconds)], axis=-1)


def _at(goal, seconds):
    return jnp.broadcast_to(goal, (*seconds.shape, 2))


LANDMARKS = {
    "ant_goal": _at,
    "ant_velocity": _ahead,
    "half_cheetah_velocity": _ahead,
    "hopper_velocity": _ahead,
    "reacher_goal": _at,
    "walker_velocity": _ahead,
}
