"""The belief that transitions give: a product of Gaussians, in any order."""

import jax
import jax.numpy as jnp
import numpy as np
import probe
import pytest

from metarl_jax.context_encoder import context_encoder
from metarl_jax.networks import NetworkConfig

NETWORK = NetworkConfig((8,), state_dependent_std=True, initial_std=2.0)
CONTEXT = jax.random.normal(jax.random.key(1), (6, 3))


@pytest.fixture(scope="module")
def encoder():
    return context_encoder(3, 2, NETWORK)


@pytest.fixture(scope="module")
def params(encoder):
    """Of a network whose factors differ from each other."""
    start = encoder.init(jax.random.key(0))
    return jax.tree.map(
        lambda leaf: leaf + 0.3 * jnp.sin(jnp.arange(leaf.size).reshape(leaf.shape)),
        start,
    )


def factor(encoder, params, transition):
    """Precision and mean of one transition's factor, from the belief it leads to."""
    belief = encoder.encode(params, transition[None])
    precision = 1 / belief.variance - 1
    return precision, belief.mean / belief.variance / precision


def test_no_transitions_leave_the_prior(encoder, params):
    belief = encoder.encode(params, CONTEXT[:0])
    np.testing.assert_array_equal(belief.mean, [0, 0])
    np.testing.assert_array_equal(belief.variance, [1, 1])


def test_belief_is_the_product_of_prior_and_factors_in_closed_form(encoder, params):
    precisions, means = zip(*(factor(encoder, params, x) for x in CONTEXT), strict=True)
    precision = 1 + np.sum(precisions, axis=0)
    mean = np.sum(np.multiply(precisions, means), axis=0) / precision
    belief = encoder.encode(params, CONTEXT)
    np.testing.assert_allclose(belief.variance, 1 / precision, rtol=1e-4)
    np.testing.assert_allclose(belief.mean, mean, rtol=1e-3)
    assert np.std(means, axis=0).min() > 0.01


def test_belief_does_not_depend_on_the_order(encoder, params):
    belief = encoder.encode(params, CONTEXT)
    for seed in range(3):
        order = jax.random.permutation(jax.random.key(seed), len(CONTEXT))
        permuted = encoder.encode(params, CONTEXT[order])
        assert probe.relative_error(permuted, belief) < 1e-6


def test_transitions_that_come_in_parts_give_the_belief_of_all_at_once(encoder, params):
    first = encoder.encode(params, CONTEXT[:2])
    then = encoder.update(params, first, CONTEXT[2:])
    assert probe.relative_error(then, encoder.encode(params, CONTEXT)) < 1e-6


def test_each_transition_makes_the_belief_narrower(encoder, params):
    beliefs = [encoder.encode(params, CONTEXT[:n]) for n in range(4)]
    variances = np.stack([belief.variance for belief in beliefs])
    assert np.all(np.diff(variances, axis=0) < 0)


def test_untrained_factors_have_the_spread_of_the_configuration(encoder):
    belief = encoder.encode(encoder.init(jax.random.key(0)), CONTEXT)
    np.testing.assert_allclose(belief.variance, 1 / (1 + 6 / 2.0**2), rtol=0.1)
