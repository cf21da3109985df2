"""Surrogates on data that holds every trajectory, weighted by its probability.

The mean over such data is an expectation without sampling error.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import probe
import pytest

from metarl_jax import exact, losses, surrogates
from metarl_jax.losses import AdvantageConfig
from metarl_jax.surrogates import SURROGATES

S, A, T, GAMMA = 2, 2, 3, 0.9
STATE_VALUE = np.array([[0.7, -0.4], [1.1, 0.2], [-0.6, 0.9]])  # [T, S]


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def problem():
    return probe.random_mdp(0, S, A), probe.random_logits(0, S, A)


def every_trajectory(mdp, logits):
    """All trajectories as one rollout [T, E], and their probabilities [E]."""
    policy = np.asarray(jax.nn.softmax(logits))
    paths = list(itertools.product(*[range(S), range(A)] * T))
    state, action = np.array(paths).reshape(-1, T, 2).transpose(2, 1, 0)
    data = probe.rollout(
        mdp.reward[state, action], truncated=[T - 1], observation=np.eye(S)[state]
    )
    log_prob = jnp.log(policy[state, action])
    following = np.asarray(mdp.transition)[state[:-1], action[:-1], state[1:]]
    probability = np.asarray(mdp.initial)[state[0]] * np.prod(following, axis=0)
    probability *= np.prod(policy[state, action], axis=0)
    return data._replace(action=jnp.asarray(action), log_prob=log_prob), probability


def weighted_advantage(data):
    """gamma**t times the return-to-go less an arbitrary baseline, [T, E]."""
    weight = GAMMA ** np.arange(T)[:, None]
    to_go = np.cumsum((weight * data.reward)[::-1], axis=0)[::-1]
    return to_go - weight * np.einsum("tes,ts->te", data.observation, STATE_VALUE)


def surrogate_derivative(name, order):
    """The derivative of E[sum_t surrogate_t] where the data was collected."""
    mdp, logits = problem()
    data, probability = every_trajectory(mdp, logits)
    advantage = weighted_advantage(data)

    def expectation(logits):
        log_probs = jax.nn.log_softmax(data.observation @ logits)
        chosen = jnp.take_along_axis(log_probs, data.action[..., None], axis=-1)
        log_ratio = chosen[..., 0] - data.log_prob
        terms = SURROGATES[name](log_ratio, advantage, data)
        return jnp.sum(probability * terms)

    return derivative(expectation, order)(logits)


def exact_derivative(order, objective=exact.expected_return):
    mdp, logits = problem()
    return derivative(lambda x: objective(mdp, x, T, GAMMA), order)(logits)


def derivative(fn, order):
    for _ in range(order):
        fn = jax.jacfwd(fn)
    return jax.jit(fn)


@pytest.mark.parametrize("name", SURROGATES)
def test_every_surrogate_has_the_gradient_of_the_discounted_return(name):
    actual = surrogate_derivative(name, 1)
    np.testing.assert_allclose(actual, exact_derivative(1), atol=1e-12)


@pytest.mark.parametrize("order", [2, 3])
def test_dice_has_the_higher_derivatives_of_the_discounted_return(order):
    actual = surrogate_derivative("dice", order)
    np.testing.assert_allclose(actual, exact_derivative(order), atol=1e-12)


def test_likelihood_ratio_has_the_hessian_of_the_low_variance_objective():
    actual = surrogate_derivative("likelihood_ratio", 2)
    expected = exact_derivative(2, exact.low_variance_objective)
    np.testing.assert_allclose(actual, expected, atol=1e-12)


def test_likelihood_ratio_leaves_out_part_of_the_hessian():
    actual = surrogate_derivative("likelihood_ratio", 2)
    assert 0.05 < probe.relative_error(actual, exact_derivative(2)) < 0.5


def test_log_probability_has_a_wrong_hessian():
    actual = surrogate_derivative("log_probability", 2)
    assert probe.relative_error(actual, exact_derivative(2)) > 0.9


def test_cumulative_ratio_starts_anew_in_each_episode_of_a_row():
    data = probe.rollout(np.zeros(4), terminated=[1])
    log_ratio = jnp.log(jnp.array([[2.0], [3.0], [5.0], [7.0]]))
    objective = surrogates.dice(log_ratio, jnp.ones((4, 1)), data)
    np.testing.assert_allclose(objective[:, 0], [1, 6 - 2, 4, 35 - 5])


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


def test_constant_advantages_are_normalized_to_zero():
    np.testing.assert_array_equal(losses.normalized(jnp.ones((3, 2))), 0)


@pytest.mark.parametrize("name", ["discount", "trace_decay"])
def test_advantage_config_refuses_values_out_of_range(name):
    with pytest.raises(ValueError, match=f"{name} must be between 0 and 1, not 1.5"):
        AdvantageConfig(**{name: 1.5})
