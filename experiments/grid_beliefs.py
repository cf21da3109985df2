"""Beliefs on GridNavi: where an agent expects the goal, beside the exact posterior."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

import envs
from envs.grid_navi import GridNavi
from experiments.experiment import Experiment
from metarl_jax.beliefs import Belief
from metarl_jax.classical.goal_beliefs import goal_beliefs
from metarl_jax.decoded_goals import Goals, decoded_goals, total_variation
from metarl_jax.types import Array, Key, Rollout


class Grid(NamedTuple):
    """GridNavi, and what is known of it before a trial."""

    env: GridNavi
    goals: Goals


class GoalBeliefs(NamedTuple):
    """Of one life, when the agent acts in each of L = (K+1) T steps."""

    learned: Array  # [L, S]; probabilities of the cells, by number
    exact: Array  # [L, S]
    distance: Array  # [L]; total variation between them


def grid_of(experiment: Experiment) -> Grid | None:
    """The grid that an experiment is on, with all goals equally likely, if it is.

    None where the agent is told the goal, and has nothing to believe.
    """
    env, tasks = envs.make(experiment.environment, **experiment.environment_options)
    if experiment.observe_task or not isinstance(env, GridNavi):
        return None
    numbers = jax.vmap(env.number)(tasks.fixed["goals"]())
    prior = jnp.zeros(env.size**2).at[numbers].set(1 / len(numbers))
    goals = Goals(env.all_observations(), prior, env.other_reward, env.goal_reward)
    return Grid(env, goals)


def compare_beliefs(
    key: Key,
    grid: Grid,
    expected_reward: Callable,
    trial: Rollout,
    beliefs: Belief,
    num_samples: int,
) -> GoalBeliefs:
    """Learned and exact beliefs over the goal in the first life of a trial.

    Args:
      key: of the embeddings that are drawn.
      grid: where the trial was.
      expected_reward: `(embedding, observation, action, next_observation) -> []`.
      trial: [K+1, T, E].
      beliefs: at its steps, leaves [K+1, T, E, Z].
      num_samples: how many embeddings are drawn from a belief.

    Returns:
      The corresponding `GoalBeliefs`.
    """
    life, belief = jax.tree.map(_first_life, (trial, beliefs))

    def learned(key: Key, belief: Belief, *acting: Array) -> Array:
        reward = lambda embedding, cell: expected_reward(embedding, *acting, cell)
        return decoded_goals(key, belief, reward, grid.goals, num_samples)

    keys = jax.random.split(key, len(life.reward))
    decoded = jax.vmap(learned)(keys, belief, life.observation, life.action)
    exact = _exact_beliefs(grid, life)
    return GoalBeliefs(decoded, exact, total_variation(decoded, exact))


def _exact_beliefs(grid: Grid, life: Rollout) -> Array:
    """The posterior before each step of a life [L]: [L, S]."""
    env, goals = grid
    visited = jax.vmap(env.number)(life.next_observation)
    found = life.reward > (goals.low + goals.high) / 2
    after = goal_beliefs(goals.prior, visited, found)
    return jnp.concatenate([goals.prior[None], after[:-1]])


def _first_life(leaf: Array) -> Array:
    """[K+1, T, E, ...] to [L, ...]."""
    return leaf[:, :, 0].reshape(-1, *leaf.shape[3:])
