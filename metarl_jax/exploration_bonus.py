"""Rewards for hyper-states that are new, and for what the decoder did not expect."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from metarl_jax.checks import require, require_not_negative, require_positive
from metarl_jax.random_distillation import (
    DistillationConfig,
    DistillationState,
    random_distillation,
)
from metarl_jax.returns import discounted_sum
from metarl_jax.task_axis import TaskAxis
from metarl_jax.trial_credit import Horizon
from metarl_jax.types import Array, Key, Metrics


@dataclasses.dataclass(frozen=True)
class ExplorationBonusConfig:
    """Weights of two bonuses, and how the network that gets used to states learns."""

    anneal_iterations: int = 400  # both bonuses fall linearly to zero
    # units of reward, for a standard deviation of the return of the bonus
    novelty_weight: float = 1.0  # of hyper-states
    surprise_weight: float = 1.0  # of errors of the decoder
    largest_bonus: float = 10.0  # standard deviations
    distillation: DistillationConfig = DistillationConfig()

    def __post_init__(self):
        require_positive(self, "anneal_iterations", "largest_bonus")
        require_not_negative(self, "novelty_weight", "surprise_weight")


class ExplorationBonusState(NamedTuple):
    distillation: DistillationState
    variances: Array  # [2]; sums over iterations: of returns of novelty, of surprise
    iteration: Array  # []


class ExplorationBonus(NamedTuple):
    """Says what exploring is worth."""

    init: Callable[[Key], ExplorationBonusState]
    # (key, state, hyper-states [N, K+1, T, E, H], surprise [N, K+1, T, E], whether a
    # step counts [N, K+1, T, E]) -> (bonus [N, K+1, T, E], state, metrics)
    update: Callable[
        [Key, ExplorationBonusState, Array, Array, Array],
        tuple[Array, ExplorationBonusState, Metrics],
    ]


def exploration_bonus(
    config: ExplorationBonusConfig, num_inputs: int, horizon: Horizon, axis: TaskAxis
) -> ExplorationBonus:
    """The bonuses of HyperX.

    One is how new the hyper-state is, a pair of observation and belief, to which a step
    led. The other is how badly the decoder predicts the step, although the belief knows
    its reward already. Each is paid in standard deviations of its discounted return,
    averaged over all iterations so far, and weighs less and less. Rewards of the task
    stay as they are, where the public code divides them by a deviation, too: weights
    are to be chosen for the task.

    What a step led to is what is known when the next one is acted. After the last step
    of a row that is the observation which the next episode starts with, and a
    belief that has read the reward. After the last step of a trial nothing is known any
    more: it is paid nothing, and does not count in standard deviations. So are steps
    after the end of an episode that ended early.

    Args:
      config: weights and networks.
      num_inputs: H, of a hyper-state.
      horizon: discount, and steps of a trial.
      axis: says on how many devices.

    Returns:
      The corresponding `ExplorationBonus`.

    Raises:
      ValueError: if a trial has one step, which leads to nothing.

    References:
      Zintgraf et al., Exploration in Approximate Hyper-State Space for Meta
      Reinforcement Learning (2021), https://arxiv.org/abs/2010.01062
    """
    require(
        horizon.length > 1,
        "a bonus is paid for what a step leads to, and a trial has but one step: set a "
        "longer horizon or num_adaptation_steps",
    )
    distillation = random_distillation(config.distillation, num_inputs, axis)

    def init(key: Key) -> ExplorationBonusState:
        return ExplorationBonusState(distillation.init(key), jnp.zeros(2), jnp.int32(0))

    def update(
        key: Key,
        state: ExplorationBonusState,
        states: Array,
        surprise: Array,
        counts: Array,
    ):
        novelty, learned, metrics = distillation.update(key, state.distillation, states)
        found = jnp.stack([_in_a_row(novelty)[:, 1:], _in_a_row(surprise)[:, :-1]])
        found *= _in_a_row(counts)[:, :-1]
        iteration = state.iteration + 1
        variances = state.variances + _variances_of_returns(found, horizon.discount)
        scaled = _in_deviations(found, variances / iteration, config.largest_bonus)
        left = jnp.maximum(1 - state.iteration / config.anneal_iterations, 0.0)
        of_novelty = left * config.novelty_weight * scaled[0]
        of_surprise = left * config.surprise_weight * scaled[1]
        bonus = jnp.pad(of_novelty + of_surprise, ((0, 0), (0, 1), (0, 0)))
        metrics |= {
            "novelty_bonus": jnp.mean(of_novelty),
            "surprise_bonus": jnp.mean(of_surprise),
        }
        state = ExplorationBonusState(learned, variances, iteration)
        return bonus.reshape(novelty.shape), state, metrics

    return ExplorationBonus(init, update)


def _in_a_row(values: Array) -> Array:
    """[N, K+1, T, E] as [N, L, E], L being the steps of a life."""
    return values.reshape(len(values), -1, values.shape[-1])


def _variances_of_returns(rewards: Array, discount: float) -> Array:
    """Of discounted returns over a life, [B, N, L, E] to [B]."""
    steps = jnp.moveaxis(rewards, 2, 0)
    returns = discounted_sum(steps, jnp.full_like(steps, discount))
    return jnp.var(returns, axis=(0, 2, 3))


def _in_deviations(found: Array, variances: Array, largest: float) -> Array:
    """Each [B, N, L, E] in standard deviations, of variances [B]."""
    deviations = jnp.sqrt(variances)[:, None, None, None] + 1e-8
    return jnp.minimum(found / deviations, largest)
