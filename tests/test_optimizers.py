import dataclasses
import pickle
import sys
from functools import cache, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import probe
import pytest
from jax.flatten_util import ravel_pytree

from envs.point import Point
from metarl_jax.algorithms.maml import MamlConfig, maml
from metarl_jax.gradient_methods import inner_loop, meta_objective
from metarl_jax.losses import mean_kl
from metarl_jax.networks import NetworkConfig, mlp_policy
from metarl_jax.optimizers import gradient_descent
from metarl_jax.task_axis import TaskAxis
from metarl_jax.trust_region import (
    TrustRegionConfig,
    backtrack,
    conjugate_gradient,
    first_rows,
    trust_region,
)

CONFIG = MamlConfig(
    num_adaptation_steps=2,
    num_episodes=4,
    inner_step_sizes=(0.5,),
    network=NetworkConfig(hidden_sizes=(3,), initial_std=0.7),
)
REGION = TrustRegionConfig(damping=0.03, conjugate_gradient_steps=40)
GOALS = np.array([[0.3, 0.2], [-0.4, 0.1], [0.0, -0.3], [0.2, -0.2]])


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


ENV = Point(horizon=6)
POLICY = mlp_policy(ENV.observation_space, ENV.action_space, CONFIG.network)
OBJECTIVE = meta_objective(POLICY, inner_loop(POLICY, CONFIG), CONFIG)


@cache
def problem():
    """An objective, parameters and the trials of four tasks."""
    algorithm = maml(ENV, CONFIG, TaskAxis())
    params = probe.to_float64(jax.jit(POLICY.init)(jax.random.key(0)))
    keys = jax.random.split(jax.random.key(1), len(GOALS))
    adapt = lambda key, goal: algorithm.adapt(key, params, goal)
    return OBJECTIVE, params, jax.jit(jax.vmap(adapt))(keys, jnp.asarray(GOALS))


@cache
def mean_gradient():
    """The gradient of the mean loss over tasks."""
    objective, params, trials = problem()
    value = lambda params: jnp.mean(jax.vmap(partial(objective.value, params))(trials))
    return jax.jit(jax.grad(value))(params)


def trust_region_step(unit):
    """Where a step from the problem's parameters leads, and its metrics."""
    return step_from(*problem()[1:], unit)


@jax.jit
def step_from(params, trials, unit):
    objective, *_ = problem()
    scaled = lambda distribution, data: unit * objective.loss(distribution, data)
    optimizer = trust_region(objective._replace(loss=scaled), TaskAxis(), REGION)
    after, _, metrics = optimizer.update(params, (), trials)
    return after, metrics


def test_trust_region_step_equals_a_dense_solve():
    objective, params, trials = problem()
    flat, unravel = ravel_pytree(params)
    policy = jax.vmap(lambda flat, trial: objective.policy(unravel(flat), trial))
    repeated = lambda flat: jnp.tile(flat, (len(GOALS), 1))
    policies = lambda flat: policy(repeated(flat), trials)
    kl = lambda new: mean_kl(policies(flat), policies(new))
    # by differences, which have less to compile than a derivative of the gradient
    shifts = 1e-5 * np.eye(flat.size)
    slopes = jax.jit(lambda points: jax.lax.map(jax.grad(kl), points))
    above, below = np.split(slopes(flat + np.concatenate([shifts, -shifts])), 2)
    damped = (above - below) / 2e-5 + REGION.damping * np.eye(flat.size)
    gradient = probe.flatten(mean_gradient())
    direction = np.linalg.solve(damped, gradient)
    length = np.sqrt(2 * REGION.max_kl / (direction @ damped @ direction))
    after, metrics = trust_region_step(1.0)
    share = REGION.backtrack_ratio ** int(metrics["backtracks"])
    step = probe.flatten(after) - flat
    assert probe.relative_error(step, -share * length * direction) < 1e-4


def step_on_rows(fisher_rows):
    """The step that Fisher products on some of the rows lead to."""
    objective, params, trials = problem()
    config = dataclasses.replace(REGION, fisher_rows=fisher_rows)
    update = trust_region(objective, TaskAxis(), config).update
    after, _, metrics = jax.jit(update)(params, (), trials)
    return probe.flatten(after) - probe.flatten(params), metrics


def test_fisher_products_on_all_rows_are_those_without_a_subsample():
    assert REGION.fisher_rows is None
    step = probe.flatten(trust_region_step(1.0)[0]) - probe.flatten(problem()[1])
    assert probe.relative_error(step_on_rows(CONFIG.num_episodes)[0], step) < 1e-12


def test_fisher_products_on_half_of_the_rows_keep_the_step_within_its_bound():
    before = probe.flatten(problem()[1])
    step = probe.flatten(trust_region_step(1.0)[0]) - before
    estimate, metrics = step_on_rows(CONFIG.num_episodes // 2)
    assert 0.4 < probe.cosine(estimate, step) < 1 - 1e-6
    assert metrics["loss_improvement"] > 0 and metrics["kl"] <= REGION.max_kl


def test_more_fisher_rows_than_there_are_get_a_clear_error():
    with pytest.raises(ValueError, match="fisher_rows must be at most the 4 episodes"):
        step_on_rows(CONFIG.num_episodes + 1)


def test_first_rows_cuts_every_rollout_and_nothing_else():
    rollout = probe.rollout(jnp.arange(6.0).reshape(3, 2))
    cut, other = first_rows((rollout, jnp.arange(2)), 1)
    np.testing.assert_array_equal(cut.reward, [[0.0], [2.0], [4.0]])
    assert cut.observation.shape == (3, 1, *rollout.observation.shape[2:])
    assert other.shape == (2,)


def test_trust_region_step_lowers_the_loss_within_the_bound_on_kl():
    objective, params, trials = problem()
    after, metrics = trust_region_step(1.0)

    def loss_and_kl(new, trial):
        old = objective.policy(params, trial)
        return objective.value(new, trial), mean_kl(old, objective.policy(new, trial))

    evaluate = jax.jit(jax.vmap(loss_and_kl, (None, 0)))
    (before, _), (loss, kl) = evaluate(params, trials), evaluate(after, trials)
    improvement = np.mean(before) - np.mean(loss)
    assert improvement > 0
    assert 0 < metrics["kl"] <= REGION.max_kl
    np.testing.assert_allclose(metrics["kl"], np.mean(kl))
    np.testing.assert_allclose(metrics["loss_improvement"], improvement)


def test_trust_region_step_does_not_depend_on_the_unit_of_the_loss():
    before = probe.flatten(problem()[1])
    step, scaled = (
        probe.flatten(trust_region_step(u)[0]) - before for u in (1.0, 1e-6)
    )
    assert probe.relative_error(scaled, step) < 1e-5  # the residual that is left


def test_trust_region_stays_where_the_loss_has_no_slope():
    after, metrics = trust_region_step(0.0)
    jax.tree.map(np.testing.assert_array_equal, after, problem()[1])
    assert metrics["loss_improvement"] == 0 and metrics["kl"] == 0


def test_gradient_descent_follows_the_mean_gradient_over_tasks():
    objective, params, trials = problem()
    optimizer = gradient_descent(objective, TaskAxis(chunk_size=2), optax.sgd(0.1))
    state = optimizer.init(params)
    after, _, metrics = jax.jit(optimizer.update)(params, state, trials)
    gradient = probe.flatten(mean_gradient())
    expected = probe.flatten(params) - 0.1 * gradient
    assert probe.relative_error(after, expected) < 1e-12
    np.testing.assert_allclose(metrics["gradient_norm"], np.linalg.norm(gradient))


def positive_definite(size):
    factor = np.random.RandomState(0).normal(size=(size, size))
    return factor @ factor.T + 0.1 * np.eye(size)


@jax.jit
def solved(matrix, target):
    return conjugate_gradient(lambda x: matrix @ x, target, 30)[0]


@pytest.mark.parametrize("unit", [1.0, 1e-8, 1e8])
def test_conjugate_gradient_equals_a_dense_solve(unit):
    matrix = positive_definite(8)
    target = unit * np.arange(1.0, 9.0)
    expected = np.linalg.solve(matrix, target)
    assert probe.relative_error(solved(matrix, target), expected) < 1e-3


def test_one_step_of_conjugate_gradient_is_the_steepest_descent():
    matrix, target = np.diag([1.0, 3.0]), np.array([1.0, 1.0])
    product = lambda x: jnp.asarray(matrix) @ x
    actual, _ = conjugate_gradient(product, jnp.asarray(target), 1)
    np.testing.assert_allclose(actual, [0.5, 0.5])


def test_conjugate_gradient_of_zero_is_zero():
    actual, _ = conjugate_gradient(lambda x: 2 * x, jnp.zeros(3), 5)
    np.testing.assert_array_equal(actual, np.zeros(3))


def search(evaluate, max_backtracks=15):
    config = TrustRegionConfig(
        max_kl=0.01, backtrack_ratio=0.5, max_backtracks=max_backtracks
    )
    start, step = jnp.zeros(1), jnp.ones(1)
    loss = evaluate(start)[0]
    return jax.jit(partial(backtrack, evaluate, config=config))(start, step, loss)


def test_backtracking_takes_the_whole_step_where_it_is_good():
    end, found = search(lambda x: (-x[0], 0.0 * x[0]))
    np.testing.assert_array_equal(end, [1.0])
    assert found.accepted and found.count == 0


def test_backtracking_shortens_until_kl_is_within_the_bound():
    end, found = search(lambda x: (-x[0], x[0] ** 2))  # 0.0625**2 < 0.01 < 0.125**2
    np.testing.assert_array_equal(end, [0.0625])
    assert found.count == 4 and found.kl <= 0.01 and found.loss == -0.0625


def test_backtracking_shortens_until_the_loss_falls():
    end, found = search(lambda x: (x[0] * (x[0] - 0.3), 0.0 * x[0]))
    np.testing.assert_array_equal(end, [0.25])
    assert found.accepted and found.count == 2


@pytest.mark.parametrize("slope", [1.0, 0.0, np.nan])
def test_backtracking_stays_where_nothing_improves(slope):
    end, found = search(lambda x: (jnp.where(x[0] > 0, slope, 0.0), 0.0 * x[0]))
    np.testing.assert_array_equal(end, [0.0])
    assert not found.accepted and found.loss == 0 and found.kl == 0


def test_backtracking_tries_as_often_as_it_is_told():
    barely = lambda x: (jnp.where(x[0] < 0.2, -1.0, 1.0) * (x[0] > 0), 0.0 * x[0])
    assert not search(barely, max_backtracks=3)[1].accepted  # 1, 1/2, 1/4
    assert search(barely, max_backtracks=4)[1].accepted


def test_sharded_trust_region_step_equals_that_of_one_device(tmp_path):
    _, params, trials = problem()
    step = params, trials, trust_region_step(1.0)[0]
    path = tmp_path / "step.pickle"
    path.write_bytes(pickle.dumps(jax.device_get(step)))
    probe.run_with_devices(__file__, 2, str(path))


def check_two_devices(path):
    """Runs in a process of its own, on the step of one device."""
    assert jax.device_count() == 2
    params, trials, expected = pickle.loads(Path(path).read_bytes())
    update = trust_region(OBJECTIVE, TaskAxis(1, num_devices=2), REGION).update
    sharded = jax.jit(update)(params, (), trials)[0]
    assert probe.relative_error(sharded, expected) < 1e-6


if __name__ == "__main__":
    with jax.enable_x64(True):
        check_two_devices(sys.argv[1])
