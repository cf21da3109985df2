"""The meta-gradient as a derivative: on stored trials, in float64."""

import dataclasses
import itertools
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import probe
import pytest

from envs.point import Point
from metarl_jax import losses, surrogates
from metarl_jax.adaptation import stop_gradient
from metarl_jax.algorithms.maml import MamlConfig, maml
from metarl_jax.gradient_methods import inner_loop, meta_objective
from metarl_jax.networks import NetworkConfig, mlp_policy
from metarl_jax.task_axis import TaskAxis

ENV = Point(horizon=5)
CONFIG = MamlConfig(
    num_adaptation_steps=5,
    num_episodes=4,
    inner_step_sizes=(0.5, 0.25),
    network=NetworkConfig(hidden_sizes=(3,), initial_std=0.7),
)
POLICY = mlp_policy(ENV.observation_space, ENV.action_space, CONFIG.network)


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


@cache
def stored_trial():
    """Parameters, and a trial of six stages collected from them."""
    params = probe.to_float64(jax.jit(POLICY.init)(jax.random.key(0)))
    adapt = jax.jit(maml(ENV, CONFIG, TaskAxis()).adapt)
    trial = adapt(jax.random.key(1), params, jnp.array([0.3, -0.2]))
    return jax.device_get((params, trial))


def value_with(surrogates):
    """The objective through all steps of a trial, by the number of a surrogate."""

    def value(params, trial, index):
        config = dataclasses.replace(CONFIG, num_adaptation_steps=len(trial.reward) - 1)
        adaptation = probe.inner_loop(POLICY, config, surrogates, index)
        return meta_objective(POLICY, adaptation, config).value(params, trial)

    return value


BASIC = "likelihood_ratio", "dice"
FURTHER = "loaded_dice", "taypo2", "log_probability"
VALUES = {names: value_with(names) for names in (BASIC, FURTHER)}


def objective(optimizer=None, **options):
    config = dataclasses.replace(CONFIG, **options)
    return meta_objective(POLICY, inner_loop(POLICY, config, optimizer), config)


def stages(first, last):
    return jax.tree.map(lambda leaf: leaf[first:last], stored_trial()[1])


@pytest.mark.parametrize(
    "num_steps, surrogate",
    [
        *itertools.product([1, 2, 3, 4, 5], BASIC),
        *itertools.product([2], FURTHER),
    ],
)
def test_meta_gradient_equals_central_differences(num_steps, surrogate):
    params, trial = stored_trial()[0], stages(0, num_steps + 1)
    table = BASIC if surrogate in BASIC else FURTHER
    gradient, differences = probe.gradient_and_differences(
        VALUES[table], params, trial, table.index(surrogate)
    )
    assert probe.relative_error(gradient, differences) < 1e-7


def meta_gradient(trial):
    """With likelihood ratios, flat."""
    params, _ = stored_trial()
    return probe.gradient_and_differences(VALUES[BASIC], params, trial, 0)[0]


def test_meta_gradient_through_inner_ppo_equals_central_differences():
    params, trial = stored_trial()[0], stages(0, 3)
    value = objective(
        inner_surrogate="clipped", inner_updates=3, num_adaptation_steps=2
    ).value
    gradient, differences = probe.gradient_and_differences(value, params, trial)
    assert probe.relative_error(gradient, differences) < 1e-6
    assert probe.relative_error(gradient, meta_gradient(trial)) > 1e-2


def test_first_order_maml_drops_the_second_order_term():
    params, trial = stored_trial()[0], stages(0, 2)
    estimate = losses.advantages(CONFIG.inner_advantage)
    loss = losses.policy_gradient(surrogates.likelihood_ratio, estimate)
    slope = jax.jit(jax.grad(losses.of_policy(POLICY, loss)))
    before, after = (jax.tree.map(lambda leaf, k=k: leaf[k], trial) for k in (0, 1))
    step = lambda param, slope: param - 0.5 * np.asarray(slope)
    adapted = jax.tree.map(step, params, slope(params, before))
    constant = optax.chain(stop_gradient(), optax.sgd(0.5))
    value = objective(constant, num_adaptation_steps=1).value
    first_order = jax.jit(jax.grad(value))(params, trial)
    assert probe.relative_error(first_order, slope(adapted, after)) < 1e-12
    assert probe.relative_error(first_order, meta_gradient(trial)) > 0.1


def test_adapting_again_to_the_stored_data_gives_the_policy_that_acted_last():
    params, trial = stored_trial()
    distribution = jax.jit(objective().policy)(params, trial)
    last = jax.tree.map(lambda leaf: leaf[-1], trial)
    log_prob = distribution.log_prob(last.action[None])[0]
    np.testing.assert_allclose(log_prob, last.log_prob, rtol=1e-9)


def test_every_stage_of_a_trial_is_fresh_data():
    _, trial = stored_trial()
    actions = np.asarray(trial.action).reshape(6, -1)
    assert len(np.unique(actions)) == actions.size


def test_loss_on_adapted_stages_is_the_mean_of_losses_after_each_step():
    params, trial = stored_trial()[0], stages(0, 3)
    value = objective(outer_stages="adapted", num_adaptation_steps=2).value
    each = [
        jax.jit(objective(num_adaptation_steps=k).value)(params, stages(0, k + 1))
        for k in (1, 2)
    ]
    actual = jax.jit(value)(params, trial)
    np.testing.assert_allclose(actual, np.mean(each), atol=1e-12)
