from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import probe
import pytest

from envs.point import Point
from metarl_jax import adaptation
from metarl_jax.algorithms.maml import MamlConfig, maml
from metarl_jax.derivatives import gradient, symmetric_product
from metarl_jax.gradient_methods import meta_objective
from metarl_jax.networks import NetworkConfig
from metarl_jax.surrogates import SURROGATES
from metarl_jax.task_axis import TaskAxis

DATA = jnp.array([[0.5, -1.0, 2.0], [1.0, 0.3, -0.7]])
POINT = {"a": jnp.array([0.3, 1.1, -0.4]), "b": jnp.array(0.8)}


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def loss(params, data):
    return jnp.sum(jnp.tanh(data @ params["a"] * params["b"]) ** 2)


def two_steps(gradient_of):
    """The outer loss after two inner gradient steps, one on each datum."""

    def outer(params):
        def step(params, data):
            slope = gradient_of(loss)(params, data[None])
            return jax.tree.map(lambda p, g: p - 0.3 * g, params, slope), None

        end = jax.lax.scan(step, params, data())[0]
        return jnp.sum(jnp.sin(end["a"])) * end["b"]

    data = lambda: probe.to_float64(DATA)
    return outer


@pytest.mark.parametrize("transform", [jax.jacrev, jax.jacfwd, jax.hessian])
@pytest.mark.parametrize("compile", [lambda fn: fn, jax.jit])
def test_derivatives_through_two_steps_equal_those_of_plain_grad(transform, compile):
    params = probe.to_float64(POINT)
    actual = compile(transform(two_steps(gradient)))(params)
    assert probe.relative_error(actual, by_plain_grad(transform)) < 1e-12


@cache
def by_plain_grad(transform):
    return jax.jit(transform(two_steps(jax.grad)))(probe.to_float64(POINT))


def test_derivatives_with_respect_to_data_and_closed_over_arrays_are_exact():
    params, data = probe.to_float64((POINT, DATA))

    def total(gradient_of, arrays):
        data, scale = arrays
        scaled = lambda params, data: scale * loss(params, data)
        slope = gradient_of(scaled)(params, data)
        return jnp.sum(slope["a"] ** 2) + slope["b"]

    arrays = data, jnp.asarray(1.5)
    for transform in (jax.grad, jax.hessian):
        expected, actual = (
            jax.jit(transform(partial(total, gradient_of)))(arrays)
            for gradient_of in (jax.grad, gradient)
        )
        assert probe.relative_error(actual, expected) < 1e-12


@pytest.mark.parametrize("wrap", [lambda fn: fn, jax.checkpoint])
def test_gradient_may_close_over_traced_floats_and_integers(wrap):
    params, data = probe.to_float64((POINT, DATA))

    def derivative(gradient_of, scale, order):
        def step(params, index):
            rolled = jnp.roll(order, index)  # an integer of the loop's body
            changed = lambda params, data: scale * loss(params, data[:, rolled])
            slope = gradient_of(changed)(params, data)
            return jax.tree.map(lambda p, g: p - 0.3 * g, params, slope), None

        def outer(params):
            return jnp.sum(jax.lax.scan(step, params, jnp.arange(2))[0]["a"] ** 2)

        return jax.grad(wrap(outer))(params)

    arguments = 1.5, jnp.array([2, 0, 1])
    actual, expected = (
        jax.jit(partial(derivative, gradient_of))(*arguments)
        for gradient_of in (gradient, jax.grad)
    )
    assert probe.relative_error(actual, expected) < 1e-12


def test_batched_derivatives_do_not_copy_what_tasks_share():
    weight = jnp.ones((7, 3))
    loss = lambda params, data: jnp.sum(jnp.tanh(params @ weight @ data) ** 2)
    derivative = lambda params, data: jax.grad(
        lambda params: jnp.sum(gradient(loss)(params, data) ** 3)
    )(params)
    text = str(jax.make_jaxpr(jax.vmap(derivative))(jnp.ones((5, 7)), jnp.ones((5, 3))))
    assert "[5,7,3]" not in text


def test_derivatives_may_be_batched_outside_and_inside():
    many = jax.tree.map(lambda leaf: jnp.stack([leaf, 2 * leaf, -leaf]), POINT)
    many = probe.to_float64(many)
    expected = jax.jit(jax.vmap(jax.grad(two_steps(jax.grad))))(many)
    outside = jax.vmap(jax.grad(two_steps(gradient)))
    total = lambda many: jnp.sum(jax.vmap(two_steps(gradient))(many))
    for batched in (outside, jax.grad(total)):
        assert probe.relative_error(jax.jit(batched)(many), expected) < 1e-12


def test_transpose_of_a_symmetric_product_is_the_product():
    matrix = jnp.array([[2.0, 1.0], [0.0, 3.0]])  # is not symmetric, to tell them apart
    product = jax.tree_util.Partial(jnp.dot, matrix)
    apply = lambda vector: symmetric_product(product, vector)
    vector = jnp.array([1.0, 2.0])
    transposed = jax.linear_transpose(apply, vector)(vector)[0]
    np.testing.assert_array_equal(apply(vector), matrix @ vector)
    np.testing.assert_array_equal(transposed, matrix @ vector)


CONFIG = MamlConfig(
    num_adaptation_steps=2,
    num_episodes=4,
    network=NetworkConfig(hidden_sizes=(3,)),
)


@cache
def stored_trial():
    """A policy, its parameters, and a trial that was collected from them."""
    algorithm = maml(Point(horizon=6), CONFIG, TaskAxis())
    params = probe.to_float64(jax.jit(algorithm.policy.init)(jax.random.key(0)))
    adapt = jax.jit(algorithm.adapt)
    trial = adapt(jax.random.key(1), params, jnp.array([0.3, 0.2]))
    return algorithm.policy, params, trial


@pytest.mark.parametrize("surrogate", SURROGATES)
def test_meta_gradient_equals_that_of_plain_differentiation(surrogate):
    fast, plain = meta_gradients(gradient)[surrogate], meta_gradients(jax.grad)
    assert probe.relative_error(fast, plain[surrogate]) < 1e-10


@cache
def meta_gradients(gradient_of):
    """With each surrogate, where the inner loop takes its gradients so; one program."""
    policy, params, trial = stored_trial()

    @jax.jit
    def meta_gradient(index):
        inner = probe.inner_loop(policy, CONFIG, SURROGATES, index)
        objective = meta_objective(policy, inner, CONFIG)
        return jax.grad(objective.value)(params, trial)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adaptation, "gradient", gradient_of)
        return {name: meta_gradient(index) for index, name in enumerate(SURROGATES)}
