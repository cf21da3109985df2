"""Returns and advantages of rows that hold several episodes."""

import chex
import jax
import jax.numpy as jnp

from metarl_jax.rollouts import ended
from metarl_jax.types import Array, Rollout


def discounted_returns(
    rollout: Rollout, next_value: Array, discount: float | Array
) -> Array:
    """The discounted return from each step to the end of its episode.

    What lies beyond the data is bootstrapped: after a truncated step, and after the
    last step of the row, `next_value` stands for the rest of the episode. After a
    terminated step there is no rest.

    Args:
      rollout: [T, E].
      next_value: the value of `rollout.next_observation`, [T, E].
      discount: gamma.

    Returns:
      [T, E].
    """
    zero = jnp.zeros_like(rollout.reward)
    return generalized_advantages(rollout, zero, next_value, discount, 1.0)


def generalized_advantages(
    rollout: Rollout,
    value: Array,
    next_value: Array,
    discount: float | Array,
    trace_decay: float | Array,
) -> Array:
    """Generalised advantage estimates.

    Args:
      rollout: [T, E].
      value: of `rollout.observation`, [T, E].
      next_value: of `rollout.next_observation`, [T, E]; read only after truncated
        steps and after the last one, elsewhere it is `value` of the following step.
      discount: gamma.
      trace_decay: lambda; 1 gives the return minus `value`.

    Returns:
      [T, E].

    References:
      Schulman et al., High-Dimensional Continuous Control Using Generalized Advantage
      Estimation (2016), equation 16, https://arxiv.org/abs/1506.02438
    """
    chex.assert_equal_shape([rollout.reward, value, next_value])
    following = jnp.concatenate([value[1:], next_value[-1:]])
    following = jnp.where(rollout.truncated, next_value, following)
    following = jnp.where(rollout.terminated, 0.0, following)
    error = rollout.reward + discount * following - value
    return discounted_sum(error, discount * trace_decay * ~ended(rollout))


def discounted_sum(term: Array, decay: Array, reverse: bool = True) -> Array:
    """Solves `x[t] = term[t] + decay[t] * x[t + 1]`, with x[T] = 0, along axis 0.

    An associative scan: on short rows a sequential one costs as much as the network.

    Args:
      term: [T, ...].
      decay: of the same shape.
      reverse: False recurs forward in time instead, on x[t - 1] with x[-1] = 0.

    Returns:
      x, [T, ...].
    """
    chex.assert_equal_shape([term, decay])

    def combine(left, right):
        term, decay = left
        next_term, next_decay = right
        return next_term + next_decay * term, next_decay * decay

    return jax.lax.associative_scan(combine, (term, decay), reverse=reverse)[0]
