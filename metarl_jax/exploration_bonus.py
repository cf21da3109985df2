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
from metarl_jax.types import Array, Key, Metrics


@dataclasses.dataclass(frozen=True)
class ExplorationBonusConfig(DistillationConfig):
    """Weights of two bonuses, and how the network that gets used to states learns."""

    anneal_iterations: int = 400  # both bonuses fall linearly to zero
    novelty_weight: float = 1.0  # of hyper-states
    surprise_weight: float = 1.0  # of errors of the decoder
    largest_bonus: float = 10.0  # standard deviations

    def __post_init__(self):
        super().__post_init__()
        require_positive(self, "anneal_iterations", "largest_bonus")
        require_not_negative(self, "novelty_weight", "surprise_weight")


class ExplorationBonusState(NamedTuple):
    distillation: DistillationState
    variances: Array  # [2]; sums over iterations: of returns of novelty, of surprise
    iteration: Array  # []


class ExplorationBonus(NamedTuple):
    """Says what exploring is worth."""

    init: Callable[[Key], ExplorationBonusState]
    # (key, state, hyper-states [N, K+1, T, E, H], surprise [N, K+1, T, E])
    # -> (bonus [N, K+1, T, E], state, metrics)
    update: Callable[
        [Key, ExplorationBonusState, Array, Array],
        tuple[Array, ExplorationBonusState, Metrics],
    ]


def exploration_bonus(
    config: ExplorationBonusConfig, num_inputs: int, discount: float, axis: TaskAxis
) -> ExplorationBonus:
    """The bonuses of HyperX.

    One is how new the hyper-state is, a pair of observation and belief, to which a step
    led. The other is how badly the decoder predicts the reward of the step, although
    the belief knows it already. Each is paid in standard deviations of its discounted
    return, averaged over all iterations so far, and weighs less and less.

    What a step led to is what is known when the next one is acted. After the last step
    of an episode that is the observation which the next episode starts with, and a
    belief that has read the reward. After the last step of a trial nothing is known any
    more: it is paid nothing, and does not count in standard deviations.

    Args:
      config: weights and networks.
      num_inputs: H, of a hyper-state.
      discount: gamma.
      axis: says on how many devices.

    Returns:
      The corresponding `ExplorationBonus`.

    References:
      Zintgraf et al., Exploration in Approximate Hyper-State Space for Meta
      Reinforcement Learning (2021), https://arxiv.org/abs/2010.01062
    """
    distillation = random_distillation(config, num_inputs, axis)

    def init(key: Key) -> ExplorationBonusState:
        return ExplorationBonusState(distillation.init(key), jnp.zeros(2), jnp.int32(0))

    def update(key: Key, state: ExplorationBonusState, states: Array, surprise: Array):
        surprise = _by_step(surprise)[:, :-1]
        novelty, learned, metrics = distillation.update(key, state.distillation, states)
        found = jnp.stack([_by_step(novelty)[:, 1:], surprise])
        iteration = state.iteration + 1
        variances = state.variances + _variances_of_returns(found, discount)
        scaled = _in_deviations(found, variances / iteration, config.largest_bonus)
        weights = jnp.stack([config.novelty_weight, config.surprise_weight])
        left = jnp.maximum(1 - state.iteration / config.anneal_iterations, 0.0)
        bonus = left * jnp.einsum("b,b...->...", weights, scaled)
        bonus = jnp.pad(bonus, ((0, 0), (0, 1), (0, 0))).reshape(novelty.shape)
        state = ExplorationBonusState(learned, variances, iteration)
        return bonus, state, metrics | {"bonus": jnp.mean(bonus)}

    return ExplorationBonus(init, update)


def _by_step(values: Array) -> Array:
    """[N, K+1, T, E] as [N, L, E], L being the steps of a life."""
    num_tasks, num_stages, num_steps, num_lives = values.shape
    length = num_stages * num_steps
    require(
        length > 1,
        "a bonus is paid for what a step leads to, and a trial has but one step: set a "
        "longer horizon or num_adaptation_steps",
    )
    return values.reshape(num_tasks, length, num_lives)


def _variances_of_returns(rewards: Array, discount: float) -> Array:
    """Of discounted returns over a life, [B, N, L, E] to [B]."""
    steps = jnp.moveaxis(rewards, 2, 0)
    returns = discounted_sum(steps, jnp.full_like(steps, discount))
    return jnp.var(returns, axis=(0, 2, 3))


def _in_deviations(found: Array, variances: Array, largest: float) -> Array:
    """Each [B, ...] in standard deviations, of variances [B]."""
    deviations = jnp.sqrt(variances) + 1e-8
    return jnp.minimum(found.T / deviations, largest).T
