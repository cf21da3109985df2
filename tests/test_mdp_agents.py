"""Agents that plan in unknown MDPs, against values worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import probe
import pytest

from envs.tabular_mdp import MdpTask, TabularMdp
from metarl_jax.classical.agent import play
from metarl_jax.classical.mdp_agents import MDP_AGENTS
from metarl_jax.classical.mdp_model import (
    Model,
    Prior,
    mean_model,
    no_experience,
    observe,
    sample_model,
)
from metarl_jax.classical.mdp_planning import (
    certainty_equivalent,
    exploration_bonus,
    extended_value_iteration,
    optimistic_posterior_samples,
    posterior_sample,
    upper_confidence,
)
from metarl_jax.classical.mdp_values import optimal_return
from metarl_jax.exact import optimal_action_values

KEY = jax.random.key(0)
TASKS = Prior()  # the distribution of the published tasks


def experienced(steps, prior=TASKS, num_states=3, num_actions=2):
    """Beliefs after steps (state, action, reward, next state)."""
    beliefs = no_experience(num_states, num_actions, prior)
    for step in steps:
        beliefs = observe(beliefs, *step)
    return beliefs


def test_posterior_means_are_those_of_the_closed_form():
    steps = [(0, 1, 2.0, 2), (0, 1, 4.0, 2), (0, 1, -1.0, 0)]
    model = mean_model(experienced(steps))
    np.testing.assert_allclose(model.transition[0, 1], [2 / 6, 1 / 6, 3 / 6])
    np.testing.assert_allclose(model.reward[0, 1], (1 + 2 + 4 - 1) / 4)
    np.testing.assert_allclose(model.transition[1, 0], [1 / 3, 1 / 3, 1 / 3])
    np.testing.assert_allclose(model.reward[1, 0], 1.0)


def test_prior_counts_as_it_is_given():
    prior = Prior(concentration=0.5, reward_mean=-2.0, reward_precision=3.0)
    model = mean_model(experienced([(0, 0, 6.0, 1)], prior))
    np.testing.assert_allclose(model.transition[0, 0], [0.2, 0.6, 0.2])
    np.testing.assert_allclose(model.reward[0, 0], (3 * -2 + 6) / 4)


def test_samples_of_the_posterior_have_its_mean_and_variance():
    beliefs = experienced([(0, 1, 3.0, 2), (0, 1, 5.0, 2)])
    draw = lambda key: sample_model(key, beliefs)
    samples = jax.jit(jax.vmap(draw))(jax.random.split(KEY, 5000))
    mean = mean_model(beliefs)
    np.testing.assert_allclose(samples.transition.mean(0), mean.transition, atol=0.02)
    np.testing.assert_allclose(samples.reward.mean(0), mean.reward, atol=0.06)
    # one parameter of Dirichlet(1, 1, 3) that is 3 has variance 3 * 2 / (25 * 6)
    np.testing.assert_allclose(samples.transition[:, 0, 1, 2].var(), 0.04, rtol=0.1)
    np.testing.assert_allclose(samples.reward[:, 0, 1].var(), 1 / 3, rtol=0.1)
    np.testing.assert_allclose(samples.reward[:, 1, 1].var(), 1.0, rtol=0.1)


def test_optimistic_samples_are_the_largest_of_posterior_samples():
    beliefs = experienced([(0, 1, 3.0, 2)])
    samples = [
        posterior_sample(jax.random.fold_in(KEY, index), beliefs, 4)
        for index in range(3)
    ]
    actual = optimistic_posterior_samples(KEY, beliefs, 4, 3)
    np.testing.assert_allclose(actual, np.max(samples, axis=0), rtol=1e-6)


def test_exploration_bonus_is_paid_for_what_is_little_known():
    beliefs = experienced([(0, 1, 3.0, 2)] * 4)
    extra = exploration_bonus(beliefs, 1, 8.0) - certainty_equivalent(beliefs, 1)
    # the prior of a row of 3 states adds up to 3
    expected = np.full((1, 3, 2), 8 / (1 + 3))
    expected[0, 0, 1] = 8 / (1 + 3 + 4)
    np.testing.assert_allclose(extra, expected, rtol=1e-5)


def test_extended_value_iteration_moves_half_of_the_slack_to_the_best_state():
    model = Model(
        transition=jnp.broadcast_to(jnp.array([0.2, 0.5, 0.3]), (3, 1, 3)),
        reward=jnp.array([[0.0], [1.0], [10.0]]),
    )
    values = extended_value_iteration(model, jnp.array([[0.0], [0.6], [2.0]]), 2)
    # nothing moved; 0.3 taken from state 0, then 1; all of it
    expected = [0 + 3.5, 1 + (0.4 * 1 + 0.6 * 10), 10 + 10]
    np.testing.assert_allclose(values[0, :, 0], expected, rtol=1e-6)


def test_extended_value_iteration_equals_the_best_model_of_a_grid():
    model = Model(*probe.random_mdp(0, 3, 1)[:2])
    slack = 0.5
    corners = np.array([[a, b, 1 - a - b] for a in GRID for b in GRID if a + b <= 1])
    best = extended_value_iteration(model, jnp.full((3, 1), slack), 3)
    following = best[1].max(axis=-1)
    for state in range(3):
        near = np.abs(corners - model.transition[state, 0]).sum(axis=1) <= slack
        expected = model.reward[state, 0] + (corners[near] @ following).max()
        assert 0 <= best[0, state, 0] - expected < 0.05


GRID = np.linspace(0, 1, 201)


def test_upper_confidence_is_optimistic_and_shrinks_to_the_truth():
    mdp = Model(*probe.random_mdp(3, 3, 2)[:2])
    truth = optimal_action_values(mdp, 4)
    excess = []
    for visits in (10.0, 1e4, 1e8):
        beliefs = no_experience(3, 2, Prior())._replace(
            transitions=visits * mdp.transition, reward_sum=visits * mdp.reward
        )
        values = upper_confidence(beliefs, 4, 1.0)
        assert (values >= truth).all()
        excess.append(float((values - truth).max()))
    assert excess[0] > excess[1] > excess[2]
    assert excess[2] < 0.05


def two_armed():
    """One state, two actions that pay 1 and 2 without noise; 5 steps an episode."""
    env = TabularMdp(num_states=1, num_actions=2, horizon=5, reward_noise=0.0)
    return env, MdpTask(jnp.ones((1, 2, 1)), jnp.array([[1.0, 2.0]]))


def rewards_of(env, task, name, prior, setting, num_episodes, num_trials):
    """[trials, K+1, T]."""
    states, actions = task.reward.shape
    agent = MDP_AGENTS[name].make(states, actions, env.horizon, prior, setting)
    trial = lambda key: play(key, env, agent, task, num_episodes)
    return np.asarray(jax.jit(jax.vmap(trial))(jax.random.split(KEY, num_trials)))


def test_greedy_keeps_to_the_first_action_that_is_better_than_expected():
    """Ties are broken at random within the first episode, which is planned once.

    A mean of 1 is expected of both actions: an agent that took both knows the better
    one, and one that took the first alone 5 times finds it as good as the other.
    """
    rewards = rewards_of(*two_armed(), "greedy", Prior(reward_mean=0.0), 0.0, 3, 200)
    first, later = rewards[:, 0], rewards[:, 1:]
    assert 1.4 < first.mean() < 1.6
    saw_both = (first == 2.0).any(axis=1)
    assert (later[saw_both].min(axis=(1, 2)) == later[saw_both].max(axis=(1, 2))).all()
    assert (later[~saw_both] == 1.0).all()  # all ones: never looks for better
    assert 0 < (~saw_both).sum() < 200


def test_epsilon_is_the_share_of_random_actions():
    weak = MDP_AGENTS["epsilon_greedy"].published_prior
    rewards = rewards_of(*two_armed(), "epsilon_greedy", weak, 0.2, 40, 200)
    # half of the random actions are the better one
    assert rewards[:, 20:].mean() == pytest.approx(0.9 * 2 + 0.1 * 1, abs=0.01)


def test_random_agent_takes_all_actions_equally_often():
    rewards = rewards_of(*two_armed(), "random", Prior(), 0.0, 10, 400)
    assert rewards.mean() == pytest.approx(1.5, abs=5 * 0.5 / 20_000**0.5)


@pytest.mark.parametrize("name", ["psrl", "opsrl", "ucrl2", "beb"])
def test_explorers_approach_the_optimum_of_an_mdp(name):
    env = TabularMdp(num_states=3, num_actions=2, horizon=4)
    mdp = probe.random_mdp(5, 3, 2)
    task = MdpTask(mdp.transition.astype(jnp.float32), mdp.reward.astype(jnp.float32))
    setting = {"psrl": 0.0, "opsrl": 3.0, "ucrl2": 0.05, "beb": 20.0}[name]
    rewards = rewards_of(env, task, name, Prior(), setting, 120, 200)
    late = rewards[:, 100:].sum(axis=-1)
    optimum = float(optimal_return(task, 4))
    assert 0.96 * optimum < late.mean() < optimum + 0.1
    assert rewards[:, 0].sum(axis=-1).mean() < 0.9 * optimum
