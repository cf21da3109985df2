"""Where a belief expects a hidden goal, as its decoder of rewards tells it."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from metarl_jax.beliefs import Belief
from metarl_jax.types import Array, Key


class Goals(NamedTuple):
    """States one of which pays `high`, all others `low`."""

    observations: Array  # [S, ...]; what is observed in each state
    prior: Array  # [S]; the probability that it is the one
    low: float
    high: float


def decoded_goals(
    key: Key, belief: Belief, expected_reward: Callable, goals: Goals, num_samples: int
) -> Array:
    """The probability of each state to be the goal, by the decoder of a belief.

    With (reward - low) / (high - low) of the expected reward for an arrival in a state,
    averaged over embeddings that are drawn from the belief, and normalised over the
    states that the prior allows.

    Args:
      key: of the embeddings.
      belief: of one step, leaves [Z].
      expected_reward: `(embedding, observation of the state) -> []`.
      goals: the states.
      num_samples: how many embeddings are drawn.

    Returns:
      [S].

    References:
      Zintgraf et al., VariBAD: A Very Good Method for Bayes-Adaptive Deep RL via
      Meta-Learning (2020), the figure of the gridworld's beliefs,
      https://arxiv.org/abs/1910.08348
    """
    embeddings = jax.vmap(belief.sample)(jax.random.split(key, num_samples))
    of_embedding = jax.vmap(expected_reward, in_axes=(None, 0))
    rewards = jax.vmap(of_embedding, in_axes=(0, None))(embeddings, goals.observations)
    chance = jnp.clip((rewards - goals.low) / (goals.high - goals.low), 0.0, 1.0)
    chance = jnp.where(goals.prior > 0, jnp.mean(chance, axis=0), 0.0)
    total = jnp.sum(chance)
    return jnp.where(total > 0, chance / jnp.maximum(total, 1e-30), goals.prior)


def total_variation(left: Array, right: Array) -> Array:
    """The distance of two distributions [..., S], in [0, 1]: half of |left - right|."""
    return 0.5 * jnp.sum(jnp.abs(left - right), axis=-1)
