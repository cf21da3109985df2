"""Losses and advantages of small data with known answers."""

import jax
import jax.numpy as jnp
import numpy as np
import probe
import pytest

from metarl_jax import exact, losses, surrogates
from metarl_jax.losses import AdvantageConfig


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def test_loss_averages_over_all_steps_of_all_episodes():
    policy = exact.tabular_policy(1, 2)
    data = probe.rollout(np.ones((4, 3)), terminated=[(1, 0), 3])
    data = data._replace(
        observation=jnp.ones((4, 3, 1)), log_prob=jnp.full((4, 3), -2.0)
    )
    estimate = lambda rollout: jnp.arange(12.0).reshape(4, 3)
    loss = losses.policy_gradient(surrogates.likelihood_ratio, estimate)
    value = losses.of_policy(policy, loss)(jnp.zeros((1, 2)), data)
    np.testing.assert_allclose(value, -5.5 * 0.5 * np.exp(2))


def test_discount_weight_counts_from_the_start_of_each_episode():
    data = probe.rollout(np.ones(4), terminated=[1])
    weighted = losses.discount_weighted(lambda rollout: jnp.full((4, 1), 8.0), 0.5)
    np.testing.assert_allclose(weighted(data)[:, 0], [8, 4, 8, 4])


def test_normalized_advantages_have_mean_zero_and_standard_deviation_one():
    advantage = losses.normalized(jnp.array([[1.0, 2.0], [3.0, 10.0]]))
    np.testing.assert_allclose(jnp.mean(advantage), 0, atol=1e-12)
    np.testing.assert_allclose(jnp.std(advantage), 1, rtol=1e-6)


def test_advantages_are_normalized_over_those_that_count():
    advantage = jnp.array([1.0, 2.0, 6.0, 50.0])
    weight = jnp.array([1.0, 1.0, 1.0, 0.0]) * 4 / 3
    counted = losses.normalized(advantage, weight)[:3]
    np.testing.assert_allclose(counted, losses.normalized(advantage[:3]), rtol=1e-6)


@pytest.mark.parametrize("number", [jnp.nan, jnp.inf])
def test_numbers_that_are_none_stay_visible_in_normalized_advantages(number):
    assert np.any(np.isnan(losses.normalized(jnp.array([1.0, number, 2.0]))))


def test_advantages_normalized_over_an_axis_are_those_of_each_slice():
    advantage = jnp.array([[1.0, 2.0, 5.0], [300.0, 100.0, 0.0]])
    weight = jnp.array([[1.0, 1.0, 0.0], [1.0, 2.0, 1.0]])
    together = losses.normalized(advantage, weight, axis=1)
    apart = [losses.normalized(*each) for each in zip(advantage, weight, strict=True)]
    np.testing.assert_allclose(together, apart, rtol=1e-6)
    np.testing.assert_allclose(together[0, :2], [-1, 1], rtol=1e-6)


def test_advantages_of_which_none_counts_are_normalized_to_finite_numbers():
    weight = jnp.array([[0.0, 0.0], [1.0, 1.0]])
    normalized = losses.normalized(jnp.array([[1.0, 2.0], [3.0, 5.0]]), weight, axis=1)
    assert np.all(np.isfinite(normalized))
    np.testing.assert_allclose(normalized[1], [-1, 1], rtol=1e-6)


def test_constant_advantages_are_normalized_to_zero():
    np.testing.assert_array_equal(losses.normalized(jnp.ones((3, 2))), 0)
    # the mean of which is not exactly the number
    for number in (-0.1, 3.3, -37.7):
        equal = jnp.full((200, 20), number)
        np.testing.assert_array_equal(losses.normalized(equal), 0)


@pytest.mark.parametrize("name", ["discount", "trace_decay"])
def test_advantage_config_refuses_values_out_of_range(name):
    with pytest.raises(ValueError, match=f"{name} must be between 0 and 1, not 1.5"):
        AdvantageConfig(**{name: 1.5})


def test_without_a_baseline_advantages_are_returns_to_go():
    data = probe.rollout([1.0, 2.0, 3.0, 4.0], terminated=[1], truncated=[3])
    config = AdvantageConfig(baseline="none", discount=0.5, normalize=False)
    advantage = losses.advantages(config)(data)
    np.testing.assert_allclose(advantage[:, 0], [1 + 0.5 * 2, 2, 3 + 0.5 * 4, 4])


def test_advantage_config_refuses_an_unknown_baseline():
    with pytest.raises(ValueError, match="one of linear_features, none, not values"):
        AdvantageConfig(baseline="values")
