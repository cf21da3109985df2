"""Optimal values of tabular MDPs against enumeration."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import probe

from envs.tabular_mdp import MdpTask
from metarl_jax import exact
from metarl_jax.classical.mdp_values import optimal_return, optimal_returns


def return_of(policy, mdp):
    """The expected return of the actions of each time and state, [T, S]."""
    transition, reward, probability = map(np.asarray, mdp)
    states, total = np.arange(len(reward)), 0.0
    for actions in policy:
        total += probability @ reward[states, actions]
        probability = probability @ transition[states, actions]
    return total


def best_deterministic_return(mdp, horizon):
    """The largest return of all policies that map time and state to an action."""
    num_states, num_actions = mdp.reward.shape
    policies = itertools.product(range(num_actions), repeat=num_states * horizon)
    return max(
        return_of(np.reshape(policy, (horizon, num_states)), mdp) for policy in policies
    )


def test_optimal_return_equals_that_of_the_best_of_all_policies():
    mdp = probe.random_mdp(0, 2, 2)
    actual = optimal_return(mdp, horizon=4)
    np.testing.assert_allclose(actual, best_deterministic_return(mdp, 4), rtol=1e-5)


def test_optimal_return_depends_on_where_episodes_start():
    stay = jnp.eye(2)[:, None, :]
    mdp = exact.TabularMdp(stay, jnp.array([[1.0], [3.0]]), jnp.array([1.0, 0.0]))
    assert optimal_return(mdp, horizon=5) == 5.0
    assert optimal_return(mdp, horizon=5, first_state=1) == 15.0


def test_optimal_values_are_those_of_a_policy_that_is_greedy_by_them():
    mdp = probe.random_mdp(1, 4, 3)
    greedy = np.argmax(exact.optimal_action_values(mdp, horizon=10), axis=-1)
    expected = return_of(greedy, mdp)
    np.testing.assert_allclose(optimal_return(mdp, horizon=10), expected, rtol=1e-5)


def test_optimal_return_is_not_below_that_of_a_policy_that_ignores_the_time():
    mdp = probe.random_mdp(1, 4, 3)
    certain = 1e3 * exact.optimal_action_values(mdp, horizon=50)[0]
    policy = exact.expected_return(mdp, certain, 10, 1.0)
    assert policy <= optimal_return(mdp, 10) + 1e-4


def test_optimal_values_of_the_last_step_are_its_rewards():
    mdp = probe.random_mdp(1, 4, 3)
    values = exact.optimal_action_values(mdp, horizon=3)[-1]
    np.testing.assert_allclose(values, mdp.reward, rtol=1e-6)


def test_optimal_returns_are_those_of_the_tasks_drawn():
    tasks = [MdpTask(*probe.random_mdp(seed, 3, 2)[:2]) for seed in range(2)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *tasks)
    sample = lambda key: jax.tree.map(
        lambda leaf: leaf[jax.random.randint(key, (), 0, 2)], stacked
    )
    returns = optimal_returns(jax.random.key(0), sample, 3, num_tasks=20)
    expected = [optimal_return(task, 3) for task in tasks]
    assert returns.shape == (20,)
    np.testing.assert_allclose(np.unique(returns), np.sort(expected), rtol=1e-6)
