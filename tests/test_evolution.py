"""Evolution strategies on functions whose smoothed gradient is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metarl_jax.evolution import evolution_gradient

POINT = {"position": jnp.array([1.0, -2.0]), "height": jnp.array(0.5)}


def estimate(objective, num_keys, std=0.1, population_size=2000):
    """The mean of independent estimates, and its standard error."""
    fn = lambda key: evolution_gradient(key, objective, POINT, std, population_size)
    gradients = jax.lax.map(fn, jax.random.split(jax.random.key(0), num_keys))
    mean = jax.tree.map(lambda leaf: np.mean(leaf, axis=0), gradients)
    error = jax.tree.map(lambda leaf: np.std(leaf, axis=0) / num_keys**0.5, gradients)
    return mean, error


def assert_within_four_errors(objective, expected, **settings):
    mean, error = estimate(objective, 30, **settings)
    for name, value in expected.items():
        assert np.all(np.abs(mean[name] - value) < 4 * error[name])
        assert np.all(error[name] < 0.05)


def test_gradient_of_a_quadratic_is_twice_the_position():
    quadratic = lambda key, x: jnp.sum(x["position"] ** 2) + x["height"] ** 2
    expected = jax.tree.map(lambda x: 2 * x, POINT)
    assert_within_four_errors(quadratic, expected)


def test_gradient_of_noisy_values_is_that_of_their_mean():
    noisy = lambda key, x: 3 * x["height"] + 0.1 * jax.random.normal(key)
    expected = {"position": np.zeros(2), "height": 3.0}
    assert_within_four_errors(noisy, expected)


def test_smoothing_biases_the_gradient_of_a_cubic_by_three_times_the_variance():
    cubic = lambda key, x: x["height"] ** 3
    smoothed = {"height": 3 * 0.5**2 + 3 * 0.3**2}
    assert_within_four_errors(cubic, smoothed, std=0.3)


def test_odd_populations_are_refused():
    with pytest.raises(ValueError, match="population_size must be even, 2 or more"):
        estimate(lambda key, x: x["height"], 2, population_size=3)
