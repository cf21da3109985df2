"""Beliefs over embeddings, against closed forms and densities."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm

from metarl_jax.beliefs import Belief, product, standard_belief


def test_belief_starts_as_a_standard_normal():
    belief = standard_belief(3)
    np.testing.assert_array_equal(belief.mean, np.zeros(3))
    np.testing.assert_array_equal(belief.variance, np.ones(3))


def test_kl_is_that_of_a_hand_computed_pair():
    """By hand: (4/2 + 9/2 - 1 - log 2) / 2 and (1/4 + 0 - 1 + log 4) / 2."""
    belief = Belief(jnp.array([1.0, 2.0]), jnp.array([4.0, 1.0]))
    other = Belief(jnp.array([-2.0, 2.0]), jnp.array([2.0, 4.0]))
    first, second = (5.5 - np.log(2)) / 2, (np.log(4) - 0.75) / 2
    np.testing.assert_allclose(belief.kl(other), first + second, rtol=1e-6)
    np.testing.assert_allclose(belief.kl(belief), 0, atol=1e-6)


def test_kl_keeps_leading_axes():
    beliefs = Belief(jnp.zeros((2, 5, 3)), jnp.full((2, 5, 3), 2.0))
    divergence = beliefs.kl(standard_belief(3))
    np.testing.assert_allclose(divergence, np.full((2, 5), 1.5 * (1 - np.log(2))), 1e-6)


def test_product_of_two_factors_by_hand():
    """Precisions 1 and 1/3 make 4/3; the mean is (2 * 1 + 6 / 3) / (4 / 3)."""
    belief = product(jnp.array([[2.0], [6.0]]), jnp.array([[1.0], [3.0]]))
    np.testing.assert_allclose(belief.mean, [3.0], rtol=1e-6)
    np.testing.assert_allclose(belief.variance, [0.75], rtol=1e-6)


def test_product_is_proportional_to_the_product_of_densities():
    means, variances = jnp.array([0.3, -1.0, 0.8]), jnp.array([0.5, 2.0, 1.5])
    belief = product(means[:, None], variances[:, None])
    points = jnp.linspace(-2, 2, 9)
    factors = norm.logpdf(points, means[:, None], jnp.sqrt(variances)[:, None]).sum(0)
    whole = norm.logpdf(points, belief.mean, jnp.sqrt(belief.variance))
    np.testing.assert_allclose(np.ptp(factors - whole), 0, atol=1e-5)


def test_product_does_not_depend_on_the_order_of_factors():
    means, variances = jax.random.normal(jax.random.key(0), (2, 7, 4))
    variances = jnp.exp(variances)
    order = jax.random.permutation(jax.random.key(1), 7)
    shuffled = product(means[order], variances[order])
    for one, other in zip(product(means, variances), shuffled, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_samples_have_the_moments_of_the_belief():
    belief = Belief(jnp.array([1.0, -3.0]), jnp.array([4.0, 0.25]))
    samples = jax.vmap(belief.sample)(jax.random.split(jax.random.key(0), 20_000))
    np.testing.assert_allclose(samples.mean(0), belief.mean, atol=0.06)
    np.testing.assert_allclose(samples.var(0), belief.variance, rtol=0.05)


def test_gradient_passes_through_a_sample():
    sample = lambda variance: Belief(jnp.zeros(1), variance).sample(jax.random.key(2))
    noise = sample(jnp.ones(1))
    slope = jax.jacobian(sample)(jnp.array([4.0]))
    np.testing.assert_allclose(slope[0], noise / (2 * np.sqrt(4.0)), rtol=1e-6)
