"""Dynamic programming against enumeration, and sampled meta-gradients against it."""

import itertools
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import probe
import pytest

from envs.tabular_mdp import TabularMdp as TabularEnvironment
from metarl_jax import exact
from metarl_jax.algorithms.maml import MamlConfig
from metarl_jax.gradient_methods import collect_trial, inner_loop, meta_objective
from metarl_jax.losses import AdvantageConfig
from metarl_jax.surrogates import SURROGATES


def enumerated_return(mdp, logits, horizon, discount):
    """The return of every trajectory, weighted by its probability, in numpy."""
    transition, reward, initial = map(np.asarray, mdp)
    policy = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    total = 0.0
    for path in itertools.product(*map(range, reward.shape * horizon)):
        states, actions = path[::2], path[1::2]
        probability = initial[states[0]] * np.prod(policy[states, actions])
        for t in range(horizon - 1):
            probability *= transition[states[t], actions[t], states[t + 1]]
        total += probability * np.sum(
            discount ** np.arange(horizon) * reward[states, actions]
        )
    return total


def test_expected_return_equals_the_sum_over_all_trajectories():
    mdp, logits = probe.random_mdp(0, 3, 2), probe.random_logits(0, 3, 2)
    actual = jax.jit(exact.expected_return, static_argnums=2)(mdp, logits, 4, 0.9)
    expected = enumerated_return(mdp, np.asarray(logits), 4, 0.9)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_one_state_returns_a_geometric_series():
    mdp = exact.TabularMdp(jnp.ones((1, 1, 1)), jnp.full((1, 1), 2.0), jnp.ones(1))
    actual = exact.expected_return(mdp, jnp.zeros((1, 1)), 4, 0.5)
    np.testing.assert_allclose(actual, 2 * (1 + 0.5 + 0.25 + 0.125))


def test_adaptation_to_a_bandit_equals_the_replicator_step():
    reward, size = np.array([1.0, 0.0, 3.0]), 0.6
    mdp = exact.TabularMdp(jnp.ones((1, 3, 1)), jnp.asarray(reward)[None], jnp.ones(1))
    # grad J = T pi (r - mean r), and the loss divides by T
    adapt = lambda logits: exact.adapted_logits(mdp, logits, (size,), 5, 1.0)
    actual = jax.jit(adapt)(jnp.zeros((1, 3)))
    expected = size * (reward - reward.mean()) / 3
    np.testing.assert_allclose(actual[0], expected, rtol=1e-5)


@cache
def gradient_and_differences(objective):
    with jax.enable_x64(True):
        mdp, logits = probe.random_mdp(1, 3, 2), probe.random_logits(1, 3, 2)
        value = lambda x: exact.meta_objective(mdp, x, (3.0, 2.0), 4, 0.9, objective)
        return probe.gradient_and_differences(value, logits)


def test_exact_meta_gradient_equals_central_differences():
    actual, expected = gradient_and_differences(exact.expected_return)
    assert probe.relative_error(actual, expected) < 1e-7


def test_low_variance_objective_leaves_the_steps_and_changes_their_derivative():
    actual, expected = gradient_and_differences(exact.low_variance_objective)
    truth = gradient_and_differences(exact.expected_return)[1]
    np.testing.assert_allclose(expected, truth, rtol=1e-7)
    assert probe.relative_error(actual, expected) > 0.05


def test_exact_policy_gradient_and_hessian_equal_central_differences():
    with jax.enable_x64(True):
        mdp, logits = probe.random_mdp(1, 3, 2), probe.random_logits(1, 3, 2)
        value = lambda logits: exact.expected_return(mdp, logits, 4, 0.9)
        differences = probe.gradient_and_differences(value, logits)[1]
        slope = jax.jit(lambda logits: exact.policy_gradient(mdp, logits, 4, 0.9))
        hessian = jax.jit(lambda logits: exact.hessian(mdp, logits, 4, 0.9))(logits)
        direction = np.asarray(probe.random_logits(2, 3, 2))
        shifted = [slope(logits + step * direction) for step in (1e-5, -1e-5)]
        gradient = slope(logits)
    curvature = np.einsum("sazb,zb->sa", hessian, direction)
    np.testing.assert_allclose(np.ravel(gradient), differences, atol=1e-8)
    expected = np.subtract(*shifted) / 2e-5
    np.testing.assert_allclose(curvature, expected, atol=1e-8)


@jax.jit
def expansion_errors(distance):
    """The errors of the expansions of order 0 to 3, T = 3, at a close policy."""
    mdp, logits = probe.random_mdp(0, 3, 2), probe.random_logits(0, 3, 2)
    behavior = logits + distance * probe.random_logits(5, 3, 2)
    value = exact.expected_return(mdp, logits, 3, 0.9)
    expansion = lambda order: exact.taylor_expansion(
        mdp, logits, behavior, 3, 0.9, order
    )
    return jnp.stack([value - expansion(order) for order in range(4)])


def test_error_of_an_expansion_falls_with_the_power_after_its_order():
    with jax.enable_x64(True):
        far, near = expansion_errors(0.02), expansion_errors(0.01)
    far, near = map(np.asarray, (far, near))
    np.testing.assert_allclose(far[:3] / near[:3], [2, 4, 8], rtol=0.05)
    np.testing.assert_allclose(near[3], 0, atol=1e-14)


class Case(NamedTuple):
    num_states: int
    num_actions: int
    horizon: int
    sizes: tuple[float, ...]  # of the adaptation steps
    discount: float
    seed: int
    surrogates: tuple[str, ...]


UNCLIPPED = tuple(name for name in SURROGATES if name != "clipped")
ONE_STEP = Case(4, 3, 5, (10.0,), 1.0, 7, UNCLIPPED)
TWO_STEPS = Case(4, 3, 5, (5.0, 5.0), 1.0, 6, ("dice", "likelihood_ratio"))
DISCOUNTED = Case(3, 2, 4, (8.0,), 0.7, 3, ("dice", "likelihood_ratio"))


def problem(case):
    shape = case.num_states, case.num_actions
    return probe.random_mdp(case.seed, *shape), probe.random_logits(case.seed, *shape)


@cache
def truth(case, objective=exact.expected_return):
    """The exact meta-gradient, where adaptation ascends `objective`."""
    mdp, logits = problem(case)
    horizon, discount = case.horizon, case.discount
    gradient = lambda logits: exact.meta_gradient(
        mdp, logits, case.sizes, horizon, discount, objective
    )
    return jax.jit(gradient)(logits)


@cache
def first_order_truth(case):
    """The exact gradient of the adapted policy's loss, at the adapted policy."""
    mdp, logits = problem(case)
    horizon, discount = case.horizon, case.discount

    def gradient(logits):
        adapted = exact.adapted_logits(mdp, logits, case.sizes, horizon, discount)
        return exact.meta_gradient(mdp, adapted, (), horizon, discount)

    return jax.jit(gradient)(logits)


def config_of(case, num_episodes):
    """Of the library's inner loop and meta-objective, without normalisation."""
    advantage = AdvantageConfig(
        discount=case.discount,
        normalize=False,
        weigh_by_discount=case.discount < 1,
    )
    return MamlConfig(
        num_adaptation_steps=len(case.sizes),
        num_episodes=num_episodes,
        inner_step_sizes=case.sizes,
        inner_surrogate="dice",
        inner_advantage=advantage,
        outer_advantage=advantage,
    )


@cache
def estimates(case, log2_episodes, num_keys):
    """Meta-gradients [num_keys, S, A] of each surrogate, from the same trials."""
    mdp, logits = problem(case)
    shape = case.num_states, case.num_actions
    env = TabularEnvironment(*shape, case.horizon, reward_noise=0.0)
    policy = exact.tabular_policy(*shape)
    config = config_of(case, 2**log2_episodes)
    adapt = collect_trial(env, policy, inner_loop(policy, config), config)

    def estimate(key):
        trial = adapt(key, logits, mdp)

        def gradient(index):
            adaptation = probe.inner_loop(policy, config, case.surrogates, index)
            objective = meta_objective(policy, adaptation, config)
            return jax.grad(objective.value)(logits, trial)

        return jax.lax.map(gradient, jnp.arange(len(case.surrogates)))

    keys = jax.random.split(jax.random.key(0), num_keys)
    gradients = jax.jit(lambda keys: jax.lax.map(estimate, keys))(keys)
    gradients = np.moveaxis(gradients, 1, 0)
    return dict(zip(case.surrogates, gradients, strict=True))


def error(case, log2_episodes, num_keys, surrogate, expected):
    """The root mean square, over keys, of the error relative to the exact gradient."""
    estimate = estimates(case, log2_episodes, num_keys)[surrogate]
    distance = np.linalg.norm(estimate - expected, axis=(1, 2))
    return np.sqrt(np.mean(distance**2)) / np.linalg.norm(truth(case))


SIZES = [(8, 64), (12, 8), (16, 2)]  # log2 of the episodes per stage, keys


def errors(surrogate, expected):
    return [error(ONE_STEP, *size, surrogate, expected) for size in SIZES]


def assert_shrinks_as_the_inverse_square_root(errors):
    assert errors[0] > errors[1] > errors[2]
    assert 8 < errors[0] / errors[2] < 32  # 16 for 256 times the episodes


def test_second_order_term_is_half_of_the_meta_gradient():
    share = probe.relative_error(first_order_truth(ONE_STEP), truth(ONE_STEP))
    assert 0.5 < share < 0.6


def test_dice_converges_to_the_exact_meta_gradient():
    found = errors("dice", truth(ONE_STEP))
    assert_shrinks_as_the_inverse_square_root(found)
    assert found[-1] < 0.02
    estimate = estimates(ONE_STEP, *SIZES[-1])["dice"][0]
    assert probe.cosine(estimate, truth(ONE_STEP)) > 0.9995


def test_taypo2_converges_to_the_exact_meta_gradient():
    found = errors("taypo2", truth(ONE_STEP))
    assert_shrinks_as_the_inverse_square_root(found)
    assert found[-1] < 0.02


def test_loaded_dice_has_a_bias_between_those_of_dice_and_likelihood_ratio():
    names = "dice", "loaded_dice", "likelihood_ratio"
    last = [errors(name, truth(ONE_STEP))[-1] for name in names]
    assert 2 * last[0] < last[1] < last[2] / 2


def test_likelihood_ratio_converges_to_within_its_exact_bias():
    limit = truth(ONE_STEP, exact.low_variance_objective)
    bias = probe.relative_error(limit, truth(ONE_STEP))
    assert 0.2 < bias < 0.3
    assert_shrinks_as_the_inverse_square_root(errors("likelihood_ratio", limit))
    from_truth = errors("likelihood_ratio", truth(ONE_STEP))
    np.testing.assert_allclose(from_truth[-1], bias, rtol=0.1)


def test_log_probability_does_not_converge_to_the_exact_meta_gradient():
    found = errors("log_probability", truth(ONE_STEP))
    assert min(found) > 0.4


def test_log_probability_has_hardly_any_second_order_term():
    found = errors("log_probability", first_order_truth(ONE_STEP))
    assert found[-1] < 0.05


@pytest.mark.parametrize(
    "case", [TWO_STEPS, DISCOUNTED], ids=["two steps", "discounted"]
)
def test_dice_and_likelihood_ratio_each_converge_to_their_limit(case):
    low_variance = truth(case, exact.low_variance_objective)
    assert probe.relative_error(low_variance, truth(case)) > 0.2
    assert error(case, 16, 1, "dice", truth(case)) < 0.05
    assert error(case, 16, 1, "likelihood_ratio", low_variance) < 0.05
