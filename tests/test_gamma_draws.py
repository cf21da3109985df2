"""Draws against the distribution functions of scipy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from metarl_jax.classical import gamma_draws

NUM_DRAWS = 20_000
CONCENTRATIONS = (0.02, 0.5, 1.0, 2.5, 30.0, 1000.0)


def keys():
    return jax.random.split(jax.random.key(0), NUM_DRAWS)


def check(draws, distribution):
    """Kolmogorov's distance is one that 1 in 1,000 samples exceeds, or less."""
    distance = stats.kstest(np.asarray(draws, float), distribution.cdf).statistic
    assert distance < 1.95 / np.sqrt(NUM_DRAWS)


@pytest.fixture(scope="module")
def log_gammas():
    """A trial for each key, with all concentrations in one array, [draws, 2, 3]."""
    concentration = jnp.array(CONCENTRATIONS).reshape(2, 3)
    draw = lambda key: gamma_draws.log_gamma(key, concentration)
    return np.asarray(jax.jit(jax.vmap(draw))(keys()))


@pytest.mark.parametrize("index", range(len(CONCENTRATIONS)))
def test_logarithms_of_gamma_draws_have_their_distribution(log_gammas, index):
    draws = log_gammas.reshape(NUM_DRAWS, -1)[:, index]
    check(draws, stats.loggamma(CONCENTRATIONS[index]))


def test_draws_of_an_array_are_independent(log_gammas):
    flat = log_gammas.reshape(NUM_DRAWS, -1)
    correlation = np.corrcoef(flat, rowvar=False) - np.eye(flat.shape[1])
    assert np.abs(correlation).max() < 4 / np.sqrt(NUM_DRAWS)


def test_beta_draws_have_their_distribution():
    draw = lambda key: gamma_draws.beta(key, jnp.array([1.0, 8.0]), jnp.array(3.0))
    draws = jax.jit(jax.vmap(draw))(keys())
    check(draws[:, 0], stats.beta(1, 3))
    check(draws[:, 1], stats.beta(8, 3))


def test_parts_of_dirichlet_draws_have_beta_distributions():
    draw = lambda key: gamma_draws.dirichlet(key, jnp.array([[0.5, 1.0, 4.0]]))
    draws = jax.jit(jax.vmap(draw))(keys())[:, 0]
    np.testing.assert_allclose(draws.sum(axis=-1), 1, rtol=1e-5)
    for index, concentration in enumerate((0.5, 1.0, 4.0)):
        check(draws[:, index], stats.beta(concentration, 5.5 - concentration))


def test_a_row_of_tiny_concentrations_is_all_in_one_place():
    draws = gamma_draws.dirichlet(jax.random.key(1), jnp.full((50, 4), 1e-4))
    np.testing.assert_allclose(draws.max(axis=-1), 1, atol=1e-6)
    assert set(np.unique(draws.argmax(axis=-1))) == set(range(4))


def test_what_is_not_a_number_gives_none():
    draws = gamma_draws.log_gamma(jax.random.key(0), jnp.array([1.0, jnp.nan]))
    assert np.isnan(draws).tolist() == [False, True]
