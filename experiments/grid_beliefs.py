"""Beliefs on GridNavi: where an agent expects the goal, beside the exact posterior."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from envs.grid_navi import GridNavi
from metarl_jax.beliefs import Belief
from metarl_jax.classical.goal_beliefs import goal_beliefs
from metarl_jax.decoded_goals import Goals, decoded_goals, total_variation
from metarl_jax.types import Array, Key, MetaAlgorithm, Params, Rollout


class GoalBeliefs(NamedTuple):
    """Of one life, when the agent acts in each of L = (K+1) T steps."""

    learned: Array  # [L, S]; probabilities of the cells, by number
    exact: Array  # [L, S]
    distance: Array  # [L]; total variation between them


def hidden_goals(env: GridNavi, goals: Array) -> Goals:
    """The cells of a grid, by number.

    Args:
      env: the grid.
      goals: all cells that may be the goal, equally likely, [G, 2].
    """
    numbers = jax.vmap(env.number)(goals)
    cells = jnp.stack(jnp.divmod(jnp.arange(env.size**2), env.size), axis=-1)
    return Goals(
        observations=cells.astype(float),
        prior=jnp.zeros(env.size**2).at[numbers].set(1 / len(numbers)),
        low=env.other_reward,
        high=env.goal_reward,
    )


def compare_beliefs(
    key: Key,
    env: GridNavi,
    goals: Goals,
    algorithm: MetaAlgorithm,
    params: Params,
    trial: Rollout,
    beliefs: Belief,
    num_samples: int,
) -> GoalBeliefs:
    """Learned and exact beliefs over the goal in the first life of a trial.

    Args:
      key: of the embeddings that are drawn.
      env: the grid.
      goals: its cells.
      algorithm: with `predict_reward`.
      params: of the algorithm.
      trial: [K+1, T, E].
      beliefs: at its steps, leaves [K+1, T, E, Z].
      num_samples: how many embeddings are drawn from a belief.
    """
    life, belief = jax.tree.map(_first_life, (trial, beliefs))

    def learned(key: Key, belief: Belief, observation: Array, action: Array) -> Array:
        reward = lambda embedding, cell: algorithm.predict_reward(
            params, embedding, observation, action, cell
        )
        return decoded_goals(key, belief, reward, goals, num_samples)

    keys = jax.random.split(key, len(life.reward))
    decoded = jax.vmap(learned)(keys, belief, life.observation, life.action)
    exact = _exact_beliefs(env, goals, life)
    return GoalBeliefs(decoded, exact, total_variation(decoded, exact))


def as_grid(env: GridNavi, beliefs: Array) -> np.ndarray:
    """Probabilities by number [L, S] as those of cells (x, y), [L, G, G]."""
    return np.asarray(beliefs).reshape(-1, env.size, env.size)


def _exact_beliefs(env: GridNavi, goals: Goals, life: Rollout) -> Array:
    """The posterior before each step of a life [L]: [L, S]."""
    visited = jax.vmap(env.number)(life.next_observation)
    found = life.reward > (goals.low + goals.high) / 2
    after = goal_beliefs(goals.prior, visited, found)
    return jnp.concatenate([goals.prior[None], after[:-1]])


def _first_life(leaf: Array) -> Array:
    """[K+1, T, E, ...] to [L, ...]."""
    return leaf[:, :, 0].reshape(-1, *leaf.shape[3:])
