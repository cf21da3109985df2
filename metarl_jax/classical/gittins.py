"""Indices of Bernoulli arms: the sure reward a pull for which one would give an arm up.

The choice is between an arm of unknown success probability, with a Beta(1, 1) prior,
and one that pays a known rate. The index of the unknown arm is the rate at which both
are worth the same. With rewards that are discounted for ever, to pull the arm of the
highest index is Bayes-optimal (Gittins 1979); with a finite number of pulls it is not
exactly, but nearly so.

What is gained by pulling the unknown arm at least once more, over the known rate from
now on, follows from a dynamic programme over its successes s and failures f:

    gain(s, f) = p - rate + discount * (p max(gain(s + 1, f), 0)
                                        + (1 - p) max(gain(s, f + 1), 0))

with p = (s + 1) / (s + f + 2). It is computed on a grid of rates. As a function of the
rate it is convex and decreasing, and its zero is interpolated.

References:
  Gittins, Bandit Processes and Dynamic Allocation Indices (1979)
  Gittins, Glazebrook and Weber, Multi-armed Bandit Allocation Indices (2011)
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from metarl_jax.types import Array

_NUM_RATES = 400  # of the grid
_LOOK_AHEAD = 400  # pulls, after which a discounted arm counts as known
_MOST_HORIZONS = 100  # that a table of finite indices has rows for, besides 0


class FiniteIndices(NamedTuple):
    """Indices of an arm in a trial of n pulls, by its horizon and its counts.

    The horizon of an arm is how often it will have been pulled if from now on no other
    arm is: the pulls that it had and those that remain.
    """

    table: Array  # [H, n (n + 1) / 2]
    first_horizon: Array  # of the first row; 0 or below
    horizon_step: Array  # from row to row


def discounted_indices(
    discount: Array, num_pulls: int, num_rates: int = _NUM_RATES
) -> Array:
    """Gittins indices, for rewards that are discounted for ever.

    An arm counts as known 400 pulls after the last one of a trial, which makes its
    index too low; the interpolation makes it too high.

    Args:
      discount: of the reward of one pull to that of the next, in [0, 1).
      num_pulls: n; arms of fewer pulls get an index.
      num_rates: points of the grid of known rates.

    Returns:
      [n (n + 1) / 2]; `discounted_index` reads it.
    """
    horizon = num_pulls + _LOOK_AHEAD
    indices = _indices(horizon, horizon, num_rates, discount, 1 / (1 - discount))
    return indices[: _row_start(num_pulls)]


def discounted_index(indices: Array, successes: Array, failures: Array) -> Array:
    """The indices of arms with these counts, of any shape."""
    return indices[_row_start(successes + failures) + successes]


def finite_indices(num_pulls: int, num_rates: int = _NUM_RATES) -> FiniteIndices:
    """Indices for the number of pulls that remain, undiscounted.

    They are computed for every horizon up to 100 pulls, and for every n / 100-th one,
    rounded up, in trials of more pulls: in between, `finite_index` interpolates.

    Args:
      num_pulls: n, of a trial.
      num_rates: points of the grid of known rates.
    """
    step = -(-num_pulls // _MOST_HORIZONS)
    horizons = jnp.arange(num_pulls, -step, -step)[::-1]
    table = jax.lax.map(
        lambda horizon: _indices(num_pulls, horizon, num_rates), horizons
    )
    return FiniteIndices(table, horizons[0], jnp.asarray(step))


def finite_index(
    indices: FiniteIndices, successes: Array, failures: Array, pulls_left: Array
) -> Array:
    """The indices of arms with these counts, of any shape.

    Args:
      indices: of `finite_indices`.
      successes: of each arm.
      failures: of each arm.
      pulls_left: in the trial, this one included; at least 1.
    """
    pulls = successes + failures
    steps = (pulls + pulls_left - indices.first_horizon) / indices.horizon_step
    row = jnp.floor(steps).astype(jnp.int32)
    column = _row_start(pulls) + successes
    last_row = indices.table.shape[0] - 1
    below = indices.table[row, column]
    above = indices.table[jnp.minimum(row + 1, last_row), column]
    return below + (steps - row) * (above - below)


def _indices(
    most_pulls: int,
    horizon: Array,
    num_rates: int,
    discount: Array = 1.0,
    weight: Array = 0.0,
) -> Array:
    """Indices of an arm that is pulled until it had `horizon` pulls.

    Args:
      most_pulls: n, not below the horizon.
      horizon: may be traced.
      num_rates: points of the grid.
      discount: of the reward of one pull to that of the next.
      weight: of the gain a pull of an arm with n pulls: how often it is pulled on.

    Returns:
      [n (n + 1) / 2], by pulls and then by successes.
    """
    rates = jnp.linspace(0.0, 1.0, num_rates)[:, None]
    successes = jnp.arange(most_pulls + 1)
    mean = lambda pulls: jnp.minimum((successes + 1) / (pulls + 2), 1.0)

    def step(worth: Array, pulls: Array) -> tuple[Array, Array]:
        p = mean(pulls)
        after_success = jnp.roll(worth, -1, axis=1)
        gain = p - rates + discount * (p * after_success + (1 - p) * worth)
        worth = jnp.where(pulls < horizon, jnp.maximum(gain, 0.0), 0.0)
        return worth, _zero(rates[:, 0], gain)[:most_pulls]

    worth = weight * jnp.maximum(mean(most_pulls) - rates, 0.0)
    _, rows = jax.lax.scan(step, worth, jnp.arange(most_pulls), reverse=True)
    return rows[jnp.tril_indices(most_pulls)]


def _zero(points: Array, values: Array) -> Array:
    """Where piecewise linear functions that decrease from above 0 are 0.

    Args:
      points: [P].
      values: of functions at the points, [P, F].

    Returns:
      [F].
    """
    left = jnp.clip(jnp.sum(values > 0, axis=0) - 1, 0, len(points) - 2)
    at = lambda index: jnp.take_along_axis(values, index[None], axis=0)[0]
    width = points[1] - points[0]
    return points[left] + width * at(left) / (at(left) - at(left + 1))


def _row_start(pulls: Array) -> Array:
    """How many counts have fewer than this many pulls."""
    return pulls * (pulls + 1) // 2
