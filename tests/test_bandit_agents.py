"""Classical agents of Bernoulli bandits, in beliefs that settle what they do."""

import functools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from metarl_jax.classical.agent import play
from metarl_jax.classical.bandit_agents import BANDIT_AGENTS
from metarl_jax.classical.bandit_values import bayes_optimal_value
from metarl_jax.classical.scores import trial_returns

NUM_CHOICES = 5_000
NUM_PULLS = 40

every_agent = pytest.mark.parametrize("name", sorted(BANDIT_AGENTS))


@functools.cache
def program(name, num_arms):
    """Many choices of an agent: `(setting, successes, failures) -> arms`."""

    def choices(setting, successes, failures):
        agent = BANDIT_AGENTS[name].make(num_arms, NUM_PULLS, setting)
        memory = agent.initial_memory._replace(successes=successes, failures=failures)
        keys = jax.random.split(jax.random.key(0), NUM_CHOICES)
        return jax.vmap(lambda key: agent.act(key, memory, jnp.ones(1)))(keys)

    return jax.jit(choices)


def frequencies(name, successes, failures, setting=0.0):
    """How often an agent chooses each arm in one belief, [k]."""
    counts = jnp.array(successes), jnp.array(failures)
    arms = program(name, len(successes))(setting, *counts)
    return np.bincount(arms, minlength=len(successes)) / NUM_CHOICES


def assert_chosen(frequency, expected):
    """Within 5 standard errors of a frequency of NUM_CHOICES."""
    np.testing.assert_allclose(frequency, expected, atol=2.5 / NUM_CHOICES**0.5)


@pytest.mark.parametrize(
    "name", ["greedy", "ucb1", "gittins", "finite_horizon_gittins"]
)
def test_ties_go_to_the_first_arm(name):
    found = frequencies(name, [0, 1, 1], [1, 1, 1], setting=0.5)
    assert found.tolist() == [0, 1, 0]


@every_agent
def test_successes_and_failures_are_counted_by_arm(name):
    agent = BANDIT_AGENTS[name].make(3, 10, jnp.float32(0.5))
    memory = agent.initial_memory
    for arm, reward in [(2, 1.0), (0, 0.0), (2, 1.0), (2, 0.0)]:
        experience = SimpleNamespace(action=jnp.int32(arm), reward=jnp.float32(reward))
        memory = agent.learn(jax.random.key(0), memory, experience)
    assert memory.successes.tolist() == [0, 0, 2]
    assert memory.failures.tolist() == [1, 0, 1]


@every_agent
def test_settings_are_there_to_tune_and_may_be_traced(name):
    agent = BANDIT_AGENTS[name]
    assert (len(agent.settings) > 1) == bool(agent.tuned)
    env, tasks = envs.make("bernoulli_bandit", num_arms=3, horizon=4)

    def trial(key, setting):
        return play(key, env, agent.make(3, 4, setting), tasks.test(key), 1)

    rewards = jax.eval_shape(trial, jax.random.key(0), jnp.float32(0.5))
    assert rewards.shape == (1, 4)


def test_random_ignores_what_it_knows():
    assert_chosen(frequencies("random", [9, 0], [0, 9]), [1 / 2, 1 / 2])


def test_greedy_takes_the_best_mean():
    """Of 1/2, 3/5 and 4/7."""
    assert frequencies("greedy", [0, 2, 3], [0, 1, 2]).tolist() == [0, 1, 0]


def test_epsilon_greedy_explores_all_arms_with_probability_epsilon():
    found = frequencies("epsilon_greedy", [2, 0], [0, 0], setting=0.3)
    assert_chosen(found, [0.85, 0.15])


def test_ucb1_by_hand():
    """Means 3/4 and 1/2, n = 4 and 2, t = 6.

    Bonuses of width sqrt(2 log 6 / n): 0.947 and 1.339 times the width, so that from
    0.25 / (1.339 - 0.947) = 0.638 on the unknown arm is ahead.
    """
    counts = [2, 0], [0, 0]
    assert frequencies("ucb1", *counts, setting=0.62).tolist() == [1, 0]
    assert frequencies("ucb1", *counts, setting=0.66).tolist() == [0, 1]


def test_thompson_takes_an_arm_as_often_as_it_is_the_best():
    """A Beta(2, 1) variable exceeds a uniform one with probability 2/3."""
    assert_chosen(frequencies("thompson", [1, 0], [0, 0]), [2 / 3, 1 / 3])


def test_optimistic_thompson_draws_no_arm_below_its_mean():
    """Beside an arm that pays 0.4 for sure, one of mean 1/2 is always better."""
    sure = [40_000, 0], [60_000, 0]
    assert_chosen(frequencies("thompson", *sure), [0.4, 0.6])
    assert frequencies("optimistic_thompson", *sure).tolist() == [0, 1]


@pytest.mark.parametrize(("num_draws", "expected"), [(1, 2 / 3), (3, 20 / 27)])
def test_voting_thompson_takes_the_arm_that_most_draws_find_best(num_draws, expected):
    found = frequencies("voting_thompson", [1, 0], [0, 0], setting=num_draws)
    assert_chosen(found, [expected, 1 - expected])


def test_gittins_follows_the_published_indices():
    """At a discount of 0.9: 0.6010 after 2 of 4, 0.7029 at first, 0.8001 after 1 of 1.

    Without a future the mean decides: it is the index.
    """
    assert frequencies("gittins", [2, 0], [2, 0], setting=0.9).tolist() == [0, 1]
    assert frequencies("gittins", [0, 1], [0, 0], setting=0.9).tolist() == [0, 1]
    assert frequencies("gittins", [3, 0], [2, 0], setting=0.9).tolist() == [0, 1]
    assert frequencies("gittins", [3, 0], [2, 0], setting=0.0).tolist() == [1, 0]


def test_finite_horizon_gittins_explores_while_pulls_are_left():
    """Of 40 pulls: an arm of 12 in 20 against a new one early, and at the last pull."""
    early, late = ([12, 0, 0], [8, 0, 0]), ([12, 0, 6], [8, 0, 13])
    assert frequencies("finite_horizon_gittins", *early)[0] == 0
    assert frequencies("finite_horizon_gittins", *late).tolist() == [1, 0, 0]


def test_finite_horizon_gittins_earns_nearly_the_bayes_optimal_value():
    env, tasks = envs.make("bernoulli_bandit", num_arms=5, horizon=6)
    make = functools.partial(BANDIT_AGENTS["finite_horizon_gittins"].make, 5, 6)
    returns = trial_returns(
        jax.random.key(1), env, tasks.test, make, jnp.zeros(1), 30_000, 1, 3_000
    )[0]
    error = returns.std() / len(returns) ** 0.5
    optimum = bayes_optimal_value(5, 6)
    assert optimum - 0.005 - 4 * error < returns.mean() < optimum + 4 * error
