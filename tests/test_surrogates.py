"""Surrogates on data that holds every trajectory, weighted by its probability.

The mean over such data is an expectation without sampling error.
"""

import itertools
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import probe
import pytest

from metarl_jax import exact, surrogates
from metarl_jax.surrogates import SURROGATES

S, A, T, GAMMA = 2, 2, 3, 0.9
BEHAVIOR = np.array([[0.4, -0.8], [-1.0, 0.3]])
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


def expected_surrogate(surrogate, off_policy=False):
    """Logits -> E[sum_t surrogate_t] over data of `problem()`, or of `BEHAVIOR`."""
    mdp, logits = problem()
    data, probability = every_trajectory(mdp, BEHAVIOR if off_policy else logits)
    advantage = weighted_advantage(data)

    def expectation(logits, *options):
        log_probs = jax.nn.log_softmax(data.observation @ logits)
        chosen = jnp.take_along_axis(log_probs, data.action[..., None], axis=-1)
        log_ratio = chosen[..., 0] - data.log_prob
        return jnp.sum(probability * surrogate(log_ratio, advantage, data, *options))

    return expectation


@cache
def surrogate_derivative(surrogate, order, off_policy=False):
    """The derivative of the expected surrogate at the logits of `problem()`."""
    fn = expected_surrogate(surrogate, off_policy)
    return derivative(fn, order)(problem()[1])


@cache
def exact_derivative(order, objective=exact.expected_return):
    mdp, logits = problem()
    return derivative(lambda x: objective(mdp, x, T, GAMMA), order)(logits)


def derivative(fn, order):
    for _ in range(order):
        fn = jax.jacfwd(fn)
    return jax.jit(fn)


def hessian_error(hessian):
    return probe.relative_error(hessian, exact_derivative(2))


def loaded_derivative(credit_decay, order):
    return loaded_program(order)(problem()[1], credit_decay)


@cache
def loaded_program(order):
    return derivative(expected_surrogate(surrogates.loaded_dice), order)


@pytest.mark.parametrize("name", SURROGATES)
def test_every_surrogate_has_the_gradient_of_the_discounted_return(name):
    actual = surrogate_derivative(SURROGATES[name], 1)
    np.testing.assert_allclose(actual, exact_derivative(1), atol=1e-12)


@pytest.mark.parametrize("order", [2, 3])
def test_dice_has_the_higher_derivatives_of_the_discounted_return(order):
    actual = surrogate_derivative(surrogates.dice, order)
    np.testing.assert_allclose(actual, exact_derivative(order), atol=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_loaded_dice_without_decay_is_dice(order):
    actual = loaded_derivative(1.0, order)
    expected = surrogate_derivative(surrogates.dice, order)
    np.testing.assert_allclose(actual, expected, atol=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_loaded_dice_without_credit_has_the_derivatives_of_likelihood_ratio(order):
    actual = loaded_derivative(0.0, order)
    expected = surrogate_derivative(surrogates.likelihood_ratio, order)
    np.testing.assert_allclose(actual, expected, atol=1e-12)


def test_bias_of_the_hessian_of_loaded_dice_falls_with_its_credit():
    low_variance = hessian_error(surrogate_derivative(surrogates.likelihood_ratio, 2))
    errors = [hessian_error(loaded_derivative(x, 2)) for x in (0.3, 0.6, 0.9)]
    assert low_variance > errors[0] > errors[1] > errors[2] > 0.005


def test_taypo2_has_the_hessian_of_the_discounted_return_and_a_wrong_third_derivative():
    second, third = (surrogate_derivative(surrogates.taypo2, n) for n in (2, 3))
    np.testing.assert_allclose(second, exact_derivative(2), atol=1e-12)
    assert probe.relative_error(third, exact_derivative(3)) > 0.005


def test_likelihood_ratio_has_the_hessian_of_the_low_variance_objective():
    actual = surrogate_derivative(surrogates.likelihood_ratio, 2)
    expected = exact_derivative(2, exact.low_variance_objective)
    np.testing.assert_allclose(actual, expected, atol=1e-12)


def test_likelihood_ratio_leaves_out_part_of_the_hessian():
    hessian = surrogate_derivative(surrogates.likelihood_ratio, 2)
    assert 0.05 < hessian_error(hessian) < 0.5


def test_clipped_has_the_hessian_of_likelihood_ratio_where_data_was_collected():
    actual = surrogate_derivative(surrogates.clipped, 2)
    expected = surrogate_derivative(surrogates.likelihood_ratio, 2)
    np.testing.assert_allclose(actual, expected, atol=1e-12)


def test_clipped_gives_no_reward_for_leaving_its_range():
    data = probe.rollout(np.zeros((1, 4)))
    log_ratio = jnp.log(jnp.array([[1.5, 1.5, 0.5, 0.5]]))
    advantage = jnp.array([[1.0, -1.0, 1.0, -1.0]])
    objective = surrogates.clipped(log_ratio, advantage, data, clip_range=0.2)
    np.testing.assert_allclose(objective[0], [1.2, -1.5, 0.5, -0.8])


def test_log_probability_has_a_wrong_hessian():
    hessian = surrogate_derivative(surrogates.log_probability, 2)
    assert hessian_error(hessian) > 0.9


@pytest.mark.parametrize("order", [1, 2])
def test_dice_has_the_derivatives_of_the_return_on_data_of_another_policy(order):
    actual = surrogate_derivative(surrogates.dice, order, off_policy=True)
    np.testing.assert_allclose(actual, exact_derivative(order), atol=1e-12)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("terms, name", [(1, "likelihood_ratio"), (2, "taypo2")])
def test_expansions_converge_off_policy_to_the_exact_ones(terms, name, order):
    expansion = lambda mdp, logits, horizon, discount: exact.taylor_expansion(
        mdp, logits, BEHAVIOR, horizon, discount, terms
    )
    actual = surrogate_derivative(SURROGATES[name], order, off_policy=True)
    np.testing.assert_allclose(actual, exact_derivative(order, expansion), atol=1e-12)


def test_taypo2_is_closer_than_likelihood_ratio_off_policy():
    gradients = [
        surrogate_derivative(SURROGATES[name], 1, off_policy=True)
        for name in ("log_probability", "likelihood_ratio", "taypo2")
    ]
    errors = [probe.relative_error(x, exact_derivative(1)) for x in gradients]
    assert errors[0] > errors[1] > 2 * errors[2] > 0


@pytest.mark.parametrize("name", ["dice", "loaded_dice", "taypo2"])
def test_credit_starts_anew_in_each_episode_of_a_row(name):
    log_ratio = jnp.log(jnp.array([[2.0], [3.0], [5.0], [7.0]]))
    surrogate = lambda log_ratio, data: SURROGATES[name](
        log_ratio, jnp.ones_like(log_ratio), data
    )
    row = surrogate(log_ratio, probe.rollout(np.zeros(4), terminated=[1]))
    alone = [
        surrogate(part, probe.rollout(np.zeros(2)))
        for part in (log_ratio[:2], log_ratio[2:])
    ]
    np.testing.assert_allclose(row, jnp.concatenate(alone))


def test_cumulative_ratio_starts_anew_in_each_episode_of_a_row():
    data = probe.rollout(np.zeros(4), terminated=[1])
    log_ratio = jnp.log(jnp.array([[2.0], [3.0], [5.0], [7.0]]))
    objective = surrogates.dice(log_ratio, jnp.ones((4, 1)), data)
    np.testing.assert_allclose(objective[:, 0], [1, 6 - 2, 4, 35 - 5])
