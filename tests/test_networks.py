import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from gymnax.environments import spaces

from metarl_jax.networks import NetworkConfig, mlp_features, mlp_policy, mlp_value

SPACE = spaces.Box(-1.0, 1.0, (3,))


def layers(params):
    return params["params"]["_Mlp_0"]


def test_layers_are_those_of_flax_with_the_weight_transposed():
    policy = mlp_policy(SPACE, spaces.Box(-1.0, 1.0, (2,)), NetworkConfig((5, 4)))
    params = policy.init(jax.random.key(0))
    observation = jnp.array([0.3, -0.2, 0.9])
    hidden = observation
    for name in ("hidden_0", "hidden_1", "output"):
        layer = layers(params)[name]
        dense = nn.Dense(len(layer["bias"]))
        dense_params = {"kernel": layer["weight"].T, "bias": layer["bias"]}
        output = dense.apply({"params": dense_params}, hidden)
        hidden = nn.tanh(output)
    mean = policy.apply(params, observation, ())[0].mode()
    np.testing.assert_allclose(mean, output, rtol=1e-6)


def test_hidden_weights_start_orthogonal_with_gain_root_two():
    policy = mlp_policy(SPACE, spaces.Discrete(2), NetworkConfig((6,)))
    weight = layers(policy.init(jax.random.key(1)))["hidden_0"]["weight"]
    assert weight.shape == (6, 3)
    np.testing.assert_allclose(weight.T @ weight, 2 * np.eye(3), atol=1e-5)


def test_bilinear_unit_multiplies_two_linear_functions():
    init, features = mlp_features(3, NetworkConfig((4, 2), "bilinear"))
    params = init(jax.random.key(0))
    inputs = jnp.array([0.3, -0.2, 0.9])
    expected = inputs
    for name, units in (("hidden_0", 4), ("hidden_1", 2)):
        weight = params["params"][name]["weight"]
        assert weight.shape == (2 * units, len(expected))
        expected = (weight[:units] @ expected) * (weight[units:] @ expected)
    np.testing.assert_allclose(features(params, inputs), expected, rtol=1e-5)


def test_values_start_near_zero_and_are_not_all_the_same():
    init, value = mlp_value(SPACE, NetworkConfig())
    params = init(jax.random.key(0))
    observations = jax.random.normal(jax.random.key(1), (100, 3))
    values = jax.vmap(lambda each: value(params, each))(observations)
    assert 1e-4 < np.std(values) < 0.02
