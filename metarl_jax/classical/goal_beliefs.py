"""What an ideal observer believes of a goal that is hidden among states."""

import jax
import jax.numpy as jnp

from metarl_jax.types import Array


def goal_beliefs(prior: Array, visited: Array, found: Array) -> Array:
    """The posterior over goals after each step of a trial.

    A visited state is the goal if the step that led to it was paid for, and is not if
    not. Until one is, the posterior is the prior without all states visited so far;
    then it is certain.

    Args:
      prior: probabilities of the states, [S].
      visited: the number of the state in which each step ended, [L].
      found: True: this state is the goal, [L].

    Returns:
      Probabilities, [L, S].
    """
    is_visited = jax.nn.one_hot(visited, prior.shape[0], dtype=bool)
    excluded = jax.lax.cummax((is_visited & ~found[:, None]).astype(int), axis=0)
    certain = jax.lax.cummax((is_visited & found[:, None]).astype(int), axis=0)
    left = jnp.where(excluded, 0.0, prior)
    uncertain = left / jnp.maximum(jnp.sum(left, axis=-1, keepdims=True), 1e-30)
    return jnp.where(certain.any(axis=-1, keepdims=True), certain, uncertain)
