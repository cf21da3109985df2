"""What a trial pays once exploring has a reward of its own."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax

from metarl_jax.belief_policies import timeless_size, without_time
from metarl_jax.beliefs import Belief
from metarl_jax.exploration_bonus import ExplorationBonusConfig, exploration_bonus
from metarl_jax.rollouts import in_first_episode
from metarl_jax.task_axis import TaskAxis
from metarl_jax.trial_autoencoder import TrialAutoencoder, trial_surprise
from metarl_jax.trial_credit import Horizon
from metarl_jax.types import Array, Environment, Key, Metrics, Params, Rollout


class Experience(NamedTuple):
    """Trials of N tasks, and what was believed in them."""

    trials: Rollout  # [N, K+1, T, E]
    beliefs: Belief  # at each step
    states: Array  # [N, K+1, T, E, H]; the hyper-states


class ExploringRewards(NamedTuple):
    """Rewards with what exploring is worth; a state that is learned."""

    init: Callable[[Key], Any]
    # (key, parameters of the autoencoder, state, experience)
    # -> (rewards [N, K+1, T, E], state, metrics)
    update: Callable[
        [Key, Params, Any, Experience],
        tuple[Array, Any, Metrics],
    ]


def rewards_as_they_are() -> ExploringRewards:
    """Without a bonus; nothing is computed."""
    return ExploringRewards(
        init=lambda key: (),
        update=lambda key, params, state, experience: (
            experience.trials.reward,
            state,
            {},
        ),
    )


def rewards_with_bonus(
    env: Environment,
    autoencoder: TrialAutoencoder,
    config: ExplorationBonusConfig,
    embedding_size: int,
    horizon: Horizon,
    axis: TaskAxis,
) -> ExploringRewards:
    """With the bonuses of HyperX; see `exploration_bonus`.

    Args:
      env: the environment.
      autoencoder: whose decoder is surprised.
      config: of the bonuses.
      embedding_size: Z.
      horizon: discount, and steps of a trial.
      axis: how to go over tasks.

    Returns:
      The corresponding `ExploringRewards`.

    Raises:
      ValueError: if a trial has one step.
    """
    num_inputs = timeless_size(env, embedding_size)
    bonus = exploration_bonus(config, num_inputs, horizon, axis)
    surprise = partial(trial_surprise, env, autoencoder)

    def update(key: Key, params: Params, state: Any, experience: Experience):
        bonus_key, draw_key = jax.random.split(key)
        trials, beliefs, states = experience
        draw_keys = jax.random.split(draw_key, len(trials.reward))
        surprises = axis.map(surprise, params, (draw_keys, trials, beliefs))
        counts = jax.vmap(jax.vmap(in_first_episode))(trials)
        extra, state, metrics = bonus.update(
            bonus_key, state, without_time(states), surprises, counts
        )
        return trials.reward + extra, state, metrics

    return ExploringRewards(bonus.init, update)
