import jax
import jax.numpy as jnp
import numpy as np
import optax
import probe
import pytest

from metarl_jax.adaptation import (
    adaptation_path,
    gradient_adaptation,
    step_sizes,
    stop_gradient,
)

CURVATURE = jnp.array([1.0, 3.0])
START = jnp.array([2.0, -1.0])


def adapted_params(adaptation, params, rollouts):
    path = adaptation_path(adaptation, params, rollouts)
    return jax.tree.map(lambda leaf: leaf[-1], path)


def bowl(params, rollout):
    """A quadratic around the mean reward, with a term of third order."""
    offset = params - jnp.mean(rollout.reward)
    return jnp.sum(0.5 * CURVATURE * offset**2 + offset**3)


def rollouts(*means):
    each = [probe.rollout(jnp.full((3, 2), mean)) for mean in means]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)


def bowl_gradient(params, mean):
    offset = params - mean
    return CURVATURE * offset + 3 * offset**2


def test_adaptation_takes_one_gradient_step_on_each_rollout_in_order():
    adaptation = gradient_adaptation(bowl, optax.sgd(0.1))
    expected = START
    for mean in (0.5, -0.5, 1.0):
        expected = expected - 0.1 * bowl_gradient(expected, mean)
    actual = adapted_params(adaptation, START, rollouts(0.5, -0.5, 1.0))
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_step_sizes_are_used_in_order_and_the_last_one_stays():
    adaptation = gradient_adaptation(bowl, optax.sgd(step_sizes((0.1, 0.01))))
    expected = START
    for size in (0.1, 0.01, 0.01):
        expected = expected - size * bowl_gradient(expected, 0.5)
    actual = adapted_params(adaptation, START, rollouts(0.5, 0.5, 0.5))
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_no_rollouts_leave_the_parameters_as_they_are():
    none = jax.tree.map(lambda leaf: leaf[:0], rollouts(0.5))
    adaptation = gradient_adaptation(bowl, optax.sgd(0.1))
    np.testing.assert_array_equal(adapted_params(adaptation, START, none), START)


def test_derivative_of_an_sgd_step_is_identity_less_the_hessian():
    adaptation = gradient_adaptation(bowl, optax.sgd(0.1))
    jacobian = jax.jacrev(lambda p: adapted_params(adaptation, p, rollouts(0.5)))
    expected = np.diag(1 - 0.1 * (CURVATURE + 6 * (START - 0.5)))
    np.testing.assert_allclose(jacobian(START), expected, atol=1e-6)


def test_stop_gradient_makes_the_derivative_of_a_step_the_identity():
    inner = optax.chain(stop_gradient(), optax.sgd(0.1))
    adaptation = gradient_adaptation(bowl, inner)
    jacobian = jax.jacrev(lambda p: adapted_params(adaptation, p, rollouts(0.5, 0.2)))
    np.testing.assert_array_equal(jacobian(START), np.eye(2))
    plain = gradient_adaptation(bowl, optax.sgd(0.1))
    np.testing.assert_array_equal(
        adapted_params(adaptation, START, rollouts(0.5, 0.2)),
        adapted_params(plain, START, rollouts(0.5, 0.2)),
    )


@pytest.mark.parametrize(
    "inner",
    [
        optax.sgd(0.05),
        optax.sgd(0.05, momentum=0.9, nesterov=True),
        optax.chain(optax.clip_by_global_norm(0.5), optax.sgd(0.05)),
        optax.adam(0.05, eps_root=1e-8),
        optax.chain(optax.add_decayed_weights(0.01), optax.sgd(0.05)),
        optax.multi_transform(
            {"fast": optax.sgd(0.05), "fixed": optax.set_to_zero()},
            {"body": "fixed", "head": "fast"},
        ),
    ],
    ids=["sgd", "momentum", "clip and sgd", "adam", "weight decay", "head only"],
)
def test_any_optax_chain_adapts_and_differentiates(inner):
    with jax.enable_x64(True):
        data = probe.to_float64(rollouts(0.5, -0.5, 1.0))
        loss = lambda params, rollout: bowl(params["body"] * params["head"], rollout)
        adaptation = gradient_adaptation(loss, inner)
        params = {"body": jnp.array([1.5, 0.4]), "head": jnp.array([0.7, -1.1])}

        def outer(params):
            end = adapted_params(adaptation, params, data)
            return jnp.sum(jnp.sin(end["body"]) * end["head"])

        gradient, differences = probe.gradient_and_differences(outer, params)
        np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-9)
