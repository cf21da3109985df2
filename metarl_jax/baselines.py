"""Baselines: what a return is compared with; fitted to the data which they serve."""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import chex
import jax
import jax.numpy as jnp

from metarl_jax.returns import discounted_returns
from metarl_jax.rollouts import complete, episode_step
from metarl_jax.types import Array, Rollout

_RIDGE = 1e-5
_RIDGE_ATTEMPTS = 5  # each with ten times the ridge of the one before
_LARGEST_OBSERVATION = 10.0
_TIME_UNIT = 100.0


class BaselineValues(NamedTuple):
    """The values which a baseline gives to a rollout."""

    value: Array  # [T, E]; of `rollout.observation`
    next_value: Array  # [T, E]; of `rollout.next_observation`


def linear_feature_baseline(
    rollout: Rollout, discount: float | Array
) -> BaselineValues:
    """Fits the return-to-go of one task's episodes linearly, in closed form.

    Features of a step are its observation clipped to [-10, 10], its square, the
    step's number in the episode t/100, its square and cube, and 1. Ridge regression
    with a penalty of 1e-5 on features scaled to unit mean square, or of ten times as
    much where float32 cannot solve that (and so on, as in rllab), fitted to the
    episodes that end inside the rollout. Since the features know the time, the fit
    is of the return within the horizon, and it is zero at the horizon.

    Args:
      rollout: [T, E].
      discount: gamma of the fitted returns.

    Returns:
      The fitted values, through which no gradient flows.

    References:
      Duan et al., Benchmarking Deep Reinforcement Learning for Continuous Control
      (2016), https://arxiv.org/abs/1604.06778
    """
    chex.assert_rank(rollout.reward, 2)
    step = episode_step(rollout)
    features = _features(rollout.observation, step)
    zero = jnp.zeros_like(rollout.reward)
    returns = discounted_returns(rollout, zero, discount)
    weights = _ridge_regression(features, returns, complete(rollout))
    next_value = _features(rollout.next_observation, step + 1) @ weights
    next_value = jnp.where(rollout.truncated, 0.0, next_value)
    return BaselineValues(features @ weights, next_value)


def no_baseline(rollout: Rollout, discount: float | Array) -> BaselineValues:
    """Zero everywhere: advantages are returns-to-go.

    What lies beyond a truncated step or the end of a row counts as nothing, so that
    `trace_decay=1` gives actual returns within the data, and less than 1 gives
    rewards discounted faster.
    """
    zero = jnp.zeros_like(rollout.reward)
    return BaselineValues(zero, zero)


# (rollout [T, E], discount) -> values
Baseline = Callable[[Rollout, float | Array], BaselineValues]
BaselineName = Literal["linear_features", "none"]

BASELINES: dict[str, Baseline] = {
    "linear_features": linear_feature_baseline,
    "none": no_baseline,
}


def _features(observation: Array, step: Array) -> Array:
    """[T, E, F] features of observations [T, E, ...] at steps [T, E]."""
    observation = observation.reshape(step.shape + (-1,))
    observation = observation.astype(jnp.result_type(float, observation.dtype))
    bound = _LARGEST_OBSERVATION
    observation = jnp.clip(observation, -bound, bound)
    time = (step / _TIME_UNIT).astype(observation.dtype)[..., None]
    one = jnp.ones_like(time)
    parts = [observation, observation**2, time, time**2, time**3, one]
    return jnp.concatenate(parts, axis=-1)


def _ridge_regression(features: Array, target: Array, included: Array) -> Array:
    """Weights [F] of the least-squares fit over the `included` steps [T, E]."""
    included = included.astype(features.dtype)
    count = jnp.maximum(jnp.sum(included), 1.0)
    mean_square = jnp.sum(features**2 * included[..., None], axis=(0, 1)) / count
    scale = jax.lax.rsqrt(jnp.where(mean_square > 0, mean_square, 1.0))
    features = features * scale * included[..., None]
    # accelerators round factors to 10 bits otherwise, more than the ridge can mend
    product = partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)
    moments = product("tef,teg->fg", features, features) / count
    correlation = product("tef,te->f", features, target) / count
    return scale * _solve(moments, correlation)


def _solve(moments: Array, correlation: Array) -> Array:
    """Weights [F] by the smallest ridge that rounding leaves positive definite.

    Features that are alike, such as one-hot observations and their squares, have a
    singular matrix, of which rounding can make more than the first ridge mends.
    """
    identity = jnp.eye(moments.shape[0], dtype=moments.dtype)

    def has_failed(state: tuple[Array, Array]) -> Array:
        attempt, weights = state
        return (attempt < _RIDGE_ATTEMPTS) & ~jnp.all(jnp.isfinite(weights))

    def solve(state: tuple[Array, Array]) -> tuple[Array, Array]:
        attempt, _ = state
        regular = moments + _RIDGE * 10.0**attempt * identity
        weights = jax.scipy.linalg.solve(regular, correlation, assume_a="pos")
        return attempt + 1, weights

    unknown = jnp.full_like(correlation, jnp.nan)
    return jax.lax.while_loop(has_failed, solve, (jnp.int32(0), unknown))[1]
