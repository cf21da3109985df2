"""The exploration term of E-MAML, on every data set of a two-armed bandit.

The sum over data sets, weighted by their probability, is an expectation without
sampling error.
"""

import itertools
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import probe
import pytest

from metarl_jax import exact, losses
from metarl_jax.adaptation import gradient_adaptation
from metarl_jax.exploration import exploration_credit
from metarl_jax.losses import AdvantageConfig
from metarl_jax.surrogates import SURROGATES

A, E, STEP_SIZE, BASELINE = 2, 2, 1.5, 0.4
REWARD = np.array([2.0, 1.0])
LOGITS = np.array([[0.3, -0.2]])
POLICY = exact.tabular_policy(1, A)


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def every_trial(num_steps):
    """All data sets of K steps with E actions each: [D, K, 1, E]."""
    actions = itertools.product(range(A), repeat=num_steps * E)
    return np.array(list(actions)).reshape(-1, num_steps, 1, E)


def adapted_path(logits, trial, surrogate):
    """Per step: log-probabilities of its data, then the logits after the last step.

    Stored log-probabilities are those of the policy that acted.
    """
    advantage = losses.advantages(AdvantageConfig(baseline="none", normalize=False))
    loss = losses.policy_gradient(SURROGATES[surrogate], advantage)
    adaptation = gradient_adaptation(
        losses.of_policy(POLICY, loss), optax.sgd(STEP_SIZE)
    )
    log_probs = []
    for actions in trial:
        log_prob = jax.nn.log_softmax(logits[0])[actions]
        data = probe.rollout(REWARD[actions], terminated=[0])
        data = data._replace(
            observation=jnp.ones((1, E, 1)),
            action=jnp.asarray(actions),
            log_prob=jax.lax.stop_gradient(log_prob),
        )
        logits = adaptation.update(adaptation.init(logits), data).params
        log_probs.append(log_prob)
    return jnp.stack(log_probs), logits


def mean_reward(logits):
    return jnp.sum(jax.nn.softmax(logits[0]) * REWARD)


@cache
def finite_data_gradient(num_steps):
    """The gradient of minus the return, averaged over adaptations to few data."""

    def objective(logits):
        total = 0.0
        for trial in every_trial(num_steps):
            log_probs, after = adapted_path(logits, trial, "log_probability")
            total += jnp.exp(jnp.sum(log_probs)) * mean_reward(after)
        return -total

    return jax.jit(jax.grad(objective))(LOGITS)


def expected_gradient(num_steps, surrogate, has_credit):
    """The mean, over all trials, of the gradient of the outer loss."""

    def trial_loss(logits, trial):
        log_probs, after = adapted_path(logits, trial, surrogate)
        log_ratio = log_probs - jax.lax.stop_gradient(log_probs)
        outcome = mean_reward(after)
        credit = exploration_credit(log_ratio, outcome - BASELINE)
        probability = jnp.exp(jax.lax.stop_gradient(jnp.sum(log_probs)))
        return probability * (has_credit * credit - outcome)

    total = lambda logits: sum(trial_loss(logits, x) for x in every_trial(num_steps))
    return jax.jit(jax.grad(total))(LOGITS)


@pytest.mark.parametrize("num_steps", [1, 2])
def test_exploration_credit_makes_the_finite_data_meta_gradient_unbiased(num_steps):
    actual = expected_gradient(num_steps, "log_probability", True)
    np.testing.assert_allclose(actual, finite_data_gradient(num_steps), atol=1e-12)


def test_without_exploration_credit_the_meta_gradient_is_biased():
    actual = expected_gradient(1, "log_probability", False)
    assert probe.relative_error(actual, finite_data_gradient(1)) > 0.5


@pytest.mark.parametrize("surrogate", ["dice", "likelihood_ratio"])
def test_credit_by_the_inner_surrogate_too_is_credit_given_twice(surrogate):
    actual = expected_gradient(1, surrogate, True)
    assert probe.relative_error(actual, finite_data_gradient(1)) > 0.5


def test_exploration_credit_is_minus_the_summed_log_ratios_times_the_advantage():
    log_ratio = jnp.arange(6.0).reshape(1, 2, 3)
    advantage = lambda x: exploration_credit(log_ratio, x)
    np.testing.assert_allclose(advantage(2.0), -30)
    assert jax.grad(advantage)(2.0) == 0
