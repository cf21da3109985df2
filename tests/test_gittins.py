"""Indices of Bernoulli arms against published tables and a search without a grid."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metarl_jax.classical import gittins
from metarl_jax.classical.gittins import (
    discounted_index,
    discounted_indices,
    finite_index,
    finite_indices,
)

# Indices of arms with a uniform prior, by (discount, successes, failures), as in the
# tables of Gittins et al. (2011). Looked up: (0, 0), (1, 1) and (2, 2) at 0.9, and that
# at 0.99; the other four are from memory.
PUBLISHED = {
    (0.5, 0, 0): 0.5590,
    (0.9, 0, 0): 0.7029,
    (0.9, 1, 0): 0.8001,
    (0.9, 0, 1): 0.5001,
    (0.9, 1, 1): 0.6346,
    (0.9, 2, 2): 0.6010,
    (0.95, 0, 0): 0.7614,
    (0.99, 0, 0): 0.8699,
}


@functools.cache
def discounted(num_pulls=5):
    return jax.jit(lambda discount: discounted_indices(discount, num_pulls))


@functools.cache
def finite(num_pulls):
    return jax.jit(lambda: finite_indices(num_pulls))()


def index_of(indices, successes, failures, pulls_left):
    arguments = jnp.int32(successes), jnp.int32(failures), jnp.int32(pulls_left)
    return float(finite_index(indices, *arguments))


@pytest.mark.parametrize(("discount", "successes", "failures"), PUBLISHED)
def test_discounted_indices_are_the_published_ones(discount, successes, failures):
    counts = jnp.int32(successes), jnp.int32(failures)
    index = discounted_index(discounted()(discount), *counts)
    published = PUBLISHED[discount, successes, failures]
    assert index == pytest.approx(published, abs=1e-4)


def test_without_a_future_an_arm_is_worth_its_mean():
    successes = jnp.array([0, 3, 1])
    failures = jnp.array([0, 1, 2])
    index = discounted_index(discounted()(0.0), successes, failures)
    np.testing.assert_allclose(index, [1 / 2, 4 / 6, 2 / 5], atol=1e-5)


def test_last_pull_is_worth_the_mean():
    assert index_of(finite(6), 2, 1, 1) == pytest.approx(3 / 5, abs=1e-5)
    assert index_of(finite(6), 0, 0, 1) == pytest.approx(1 / 2, abs=1e-5)


def test_two_pulls_by_hand():
    """1/2 - r + (2/3 - r) / 2 = 0 at r = 5/9."""
    assert index_of(finite(6), 0, 0, 2) == pytest.approx(5 / 9, abs=1e-5)


@pytest.mark.parametrize(
    ("successes", "failures", "pulls_left"),
    [(0, 0, 6), (0, 0, 4), (2, 1, 3), (0, 2, 4)],
)
def test_finite_indices_are_those_of_bisection(successes, failures, pulls_left):
    """At its index, an arm is worth as much as the sure rate, and not less below."""
    low, high = 0.0, 1.0
    for _ in range(40):
        rate = (low + high) / 2
        if best(rate, successes, failures, pulls_left) > rate * pulls_left + 1e-12:
            low = rate
        else:
            high = rate
    index = index_of(finite(6), successes, failures, pulls_left)
    assert index == pytest.approx(low, abs=1e-4)


def best(rate, successes, failures, pulls_left):
    """The most that a trial with this arm and a sure one pays, by recursion."""
    if pulls_left == 0:
        return 0.0
    p = (successes + 1) / (successes + failures + 2)
    won = best(rate, successes + 1, failures, pulls_left - 1)
    lost = best(rate, successes, failures + 1, pulls_left - 1)
    known = rate + best(rate, successes, failures, pulls_left - 1)
    return max(known, p * (1 + won) + (1 - p) * lost)


def test_many_pulls_left_are_worth_more_than_few():
    indices = [index_of(finite(20), 1, 1, left) for left in range(1, 19)]
    assert (np.diff(indices) > 0).all()
    assert 0.5 == pytest.approx(indices[0], abs=1e-5)
    assert indices[-1] < 1.0


def test_interpolation_between_horizons_is_close(monkeypatch):
    """In all that a trial of 20 pulls can meet before its last two."""
    exact = finite(20)
    monkeypatch.setattr(gittins, "_MOST_HORIZONS", 10)
    coarse = jax.jit(lambda: finite_indices(20))()
    assert (exact.table.shape[0], coarse.table.shape[0]) == (21, 11)
    cases = [
        (successes, pulls - successes, pulls_left)
        for pulls in range(18)
        for successes in range(pulls + 1)
        for pulls_left in range(3, 21 - pulls)
    ]
    arguments = [jnp.asarray(column) for column in np.array(cases).T]
    interpolated, expected = (finite_index(i, *arguments) for i in (coarse, exact))
    assert 0 < np.abs(interpolated - expected).max() < 0.006


def test_finer_grid_of_rates_changes_little():
    fine = jax.jit(lambda: finite_indices(20, num_rates=1600))()
    assert 0 < np.abs(fine.table - finite(20).table).max() < 0.002


def test_longer_look_ahead_changes_little(monkeypatch):
    indices = jax.jit(lambda discount: discounted_indices(discount, 5, 100))
    short = indices(0.995)
    monkeypatch.setattr(gittins, "_LOOK_AHEAD", 800)
    long = jax.jit(lambda discount: discounted_indices(discount, 5, 100))(0.995)
    assert 0 < np.abs(short - long).max() < 1e-4
