"""Surrogates on data that holds every trajectory, weighted by its probability.

The mean over such data is an expectation without sampling error.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import probe
import pytest

from metarl_jax import exact, losses
from metarl_jax.losses import AdvantageConfig
from metarl_jax.rollouts import episode_step

S, A, T, GAMMA = 2, 2, 3, 0.9
STATE_VALUE = np.array([[0.7, -0.4], [1.1, 0.2], [-0.6, 0.9]])  # [T, S]


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def every_trajectory(mdp, logits):
    """All trajectories as one rollout [T, E], and their probabilities [E]."""
    policy = np.asarray(jax.nn.softmax(logits))
    paths = list(itertools.product(*[range(S), range(A)] * T))
    state, action = np.array(paths).reshape(-1, T, 2).transpose(2, 1, 0)
    probability = mdp.initial[state[0]] * np.prod(policy[state, action], axis=0)
    following = mdp.transition[state[:-1], action[:-1], state[1:]]
    data = probe.rollout(
        mdp.reward[state, action], truncated=[T - 1], observation=np.eye(S)[state]
    )
    data = data._replace(
        action=jnp.asarray(action), log_prob=jnp.log(policy[state, action])
    )
    return data, probability * np.prod(following, axis=0), jnp.asarray(state)


def expected_surrogate(surrogate, mdp, logits):
    """E[sum_t surrogate_t] as a function of the logits, collected at `logits`."""
    data, probability, state = every_trajectory(mdp, logits)
    weight = GAMMA ** np.arange(T)[:, None]
    to_go = np.cumsum((weight * data.reward)[::-1], axis=0)[::-1] / weight
    advantage = weight * (to_go - STATE_VALUE[np.arange(T)[:, None], state])

    def expectation(new_logits):
        log_prob = jax.nn.log_softmax(new_logits)[state, data.action]
        terms = surrogate(log_prob - data.log_prob, advantage, data)
        return jnp.sum(probability * terms)

    return expectation


def derivatives(fn, logits, order):
    for _ in range(order):
        fn = jax.jacfwd(fn)
    return fn(logits)


MDP, LOGITS = probe.random_mdp(0, S, A), probe.random_logits(0, S, A)


def exact_derivatives(order, objective=exact.expected_return):
    fn = lambda logits: objective(mdp64(), logits, T, GAMMA)
    return derivatives(fn, probe.random_logits(0, S, A), order)


def mdp64():
    return probe.random_mdp(0, S, A)


def surrogate_derivatives(name, order):
    logits = probe.random_logits(0, S, A)
    fn = expected_surrogate(losses.SURROGATES[name], mdp64(), logits)
    return derivatives(fn, logits, order)


@pytest.mark.parametrize("name", losses.SURROGATES)
def test_every_surrogate_has_the_gradient_of_the_discounted_return(name):
    actual = surrogate_derivatives(name, 1)
    np.testing.assert_allclose(actual, exact_derivatives(1), atol=1e-12)


@pytest.mark.parametrize("order", [2, 3])
def test_dice_has_the_higher_derivatives_of_the_discounted_return(order):
    actual = surrogate_derivatives("dice", order)
    np.testing.assert_allclose(actual, exact_derivatives(order), atol=1e-12)


def test_likelihood_ratio_has_the_hessian_of_the_low_variance_objective():
    actual = surrogate_derivatives("likelihood_ratio", 2)
    expected = exact_derivatives(2, exact.low_variance_objective)
    np.testing.assert_allclose(actual, expected, atol=1e-12)


def test_likelihood_ratio_leaves_out_part_of_the_hessian():
    truth = exact_derivatives(2)
    error = probe.relative_error(surrogate_derivatives("likelihood_ratio", 2), truth)
    assert 0.05 < error < 0.5


def test_log_probability_has_the_wrong_hessian():
    truth = exact_derivatives(2)
    error = probe.relative_error(surrogate_derivatives("log_probability", 2), truth)
    assert error > 0.9
