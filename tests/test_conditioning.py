"""Conditioning: what the embedding does to a network, and where it does nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import probe
import pytest
from gymnax.environments import spaces

from metarl_jax.conditioning import (
    Concatenation,
    Film,
    Hypernetwork,
    at_each_step,
    conditioned_policy,
    conditioned_value,
    context_policy,
)
from metarl_jax.networks import NetworkConfig, mlp_policy, mlp_value

PLANE = spaces.Box(-1.0, 1.0, (2,))
JOINED = spaces.Box(-1.0, 1.0, (5,))
CONFIG = NetworkConfig(hidden_sizes=(8, 6), initial_std=0.5)
KEY = jax.random.key(0)
INPUT = jnp.array([0.3, -0.7])
EMBEDDING = jnp.array([0.5, -1.0, 0.8])
EVERY = pytest.mark.parametrize(
    "conditioning",
    [Concatenation(), Film(), Hypernetwork()],
    ids=["concatenation", "film", "hypernetwork"],
)


def started(network):
    """Parameters of a network; compiled as a whole, which is faster than op by op."""
    return jax.jit(network.init)(KEY)


def test_concatenation_is_the_plain_network_of_the_joined_input():
    network = conditioned_policy(PLANE, PLANE, CONFIG, Concatenation(), 3)
    plain = mlp_policy(JOINED, PLANE, CONFIG)
    params = started(network)
    jax.tree.map(np.testing.assert_array_equal, params, started(plain))
    action = network.apply(params, EMBEDDING, INPUT)
    expected, _ = plain.apply(params, jnp.concatenate([INPUT, EMBEDDING]), ())
    np.testing.assert_array_equal(action.mode(), expected.mode())


PLAIN = {
    Film: lambda params: params.network,
    Hypernetwork: lambda params: params.base,
}


@pytest.mark.parametrize("kind", PLAIN)
def test_network_is_a_plain_one_at_embedding_zero(kind):
    zero = jnp.zeros(3)
    policy = conditioned_policy(PLANE, PLANE, CONFIG, kind(), 3)
    value = conditioned_value(PLANE, CONFIG, kind(), 3)
    act = lambda params: mlp_policy(PLANE, PLANE, CONFIG).apply(params, INPUT, ())[0]
    plain = {
        policy: act,
        value: lambda params: mlp_value(PLANE, CONFIG)[1](params, INPUT),
    }
    for network, expected in plain.items():
        params = started(network)
        outputs = network.apply(params, zero, INPUT), expected(PLAIN[kind](params))
        jax.tree.map(np.testing.assert_array_equal, *outputs)
        other = network.apply(params, EMBEDDING, INPUT)
        assert probe.relative_error(other, outputs[0]) > 1e-4


def layers(params):
    """The hidden layer and the output of a network of one, under FiLM."""
    (network,) = params.network["params"].values()
    return network["hidden_0"], network["output"]


def test_film_scales_and_shifts_the_output_of_a_hidden_layer():
    config = NetworkConfig(hidden_sizes=(2,))
    network = conditioned_value(PLANE, config, Film(), 1)
    scale, shift = jnp.array([[0.5, -1.0]]), jnp.array([[0.25, 0.125]])
    params = started(network)._replace(scale=[scale], shift=[shift])
    layer, readout = layers(params)
    plain = layer["weight"] @ INPUT + layer["bias"]
    value = network.apply(params, jnp.array([2.0]), INPUT)
    hidden = np.tanh([2.0 * plain[0] + 0.5, -1.0 * plain[1] + 0.25])
    expected = readout["weight"][0] @ hidden + readout["bias"][0]
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def generated(params, embedding):
    base, directions = params
    moved = lambda leaf, way: leaf + jnp.tensordot(embedding, way, 1)
    return jax.tree.map(moved, base, directions)


def test_film_scales_and_shifts_both_factors_of_a_bilinear_unit():
    config = NetworkConfig(hidden_sizes=(1,), activation="bilinear")
    network = conditioned_value(PLANE, config, Film(), 1)
    scale, shift = jnp.array([[0.5, -1.0]]), jnp.array([[0.25, 0.125]])
    params = started(network)._replace(scale=[scale], shift=[shift])
    layer, readout = layers(params)
    value = network.apply(params, jnp.array([2.0]), INPUT)
    first, second = layer["weight"] @ INPUT
    hidden = (2 * first + 0.5) * (-second + 0.25)
    expected = readout["weight"][0, 0] * hidden + readout["bias"][0]
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_hypernetwork_applies_weights_that_are_linear_in_the_embedding():
    network = conditioned_value(PLANE, CONFIG, Hypernetwork(), 3)
    params = started(network)
    _, plain = mlp_value(PLANE, CONFIG)
    value = network.apply(params, EMBEDDING, INPUT)
    expected = plain(generated(params, EMBEDDING), INPUT)
    np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_weights_that_a_hypernetwork_generates_start_at_the_scale_of_a_plain_one():
    """At length 1: (1 - s)^2 + s^2 of the variance on average, here 0.82."""
    config = NetworkConfig(hidden_sizes=(64, 64))
    network = conditioned_value(PLANE, config, Hypernetwork(), 1)
    params = started(network)
    plain = jax.jit(mlp_value(PLANE, config)[0])(KEY)
    weights = generated(params, jnp.ones(1))
    for name, layer in weights["params"]["_Mlp_0"].items():
        expected = np.std(plain["params"]["_Mlp_0"][name]["weight"])
        np.testing.assert_allclose(np.std(layer["weight"]), 0.9 * expected, rtol=0.1)
        np.testing.assert_array_equal(layer["bias"], np.zeros_like(layer["bias"]))


def test_spread_of_actions_starts_as_configured_whatever_the_embedding():
    network = conditioned_policy(PLANE, PLANE, CONFIG, Hypernetwork(), 3)
    action = network.apply(started(network), EMBEDDING, INPUT)
    np.testing.assert_allclose(jnp.exp(action.log_std), 0.5, rtol=1e-6)


@EVERY
@pytest.mark.parametrize("embedding", [jnp.zeros(3), EMBEDDING], ids=["zero", "other"])
def test_gradient_reaches_every_entry_of_the_embedding(conditioning, embedding):
    network = conditioned_value(PLANE, CONFIG, conditioning, 3)
    gradient = jax.grad(network.apply, argnums=1)(started(network), embedding, INPUT)
    assert np.all(np.abs(gradient) > 1e-5)


@EVERY
def test_context_is_a_parameter_of_the_policy(conditioning):
    network = conditioned_policy(PLANE, PLANE, CONFIG, conditioning, 3)
    policy = context_policy(network, 3)
    params = policy.init(KEY)
    np.testing.assert_array_equal(params["context"], np.zeros(3))
    params = params | {"context": EMBEDDING}
    action, _ = policy.apply(params, INPUT, ())
    expected = network.apply(params["shared"], EMBEDDING, INPUT)
    np.testing.assert_array_equal(action.mode(), expected.mode())


@pytest.mark.parametrize("num_own_axes", [0, 1, 2])
def test_embeddings_go_with_the_first_axes_of_the_inputs(num_own_axes):
    network = lambda embedding, inputs: embedding[0] * inputs
    inputs = jnp.arange(24.0).reshape(4, 3, 2)
    axes = inputs.shape[:num_own_axes]
    embedding = 1.0 + jnp.arange(np.prod(axes, dtype=int)).reshape(*axes, 1)
    outputs = at_each_step(network, embedding, inputs)
    expected = inputs * embedding.reshape(axes + (1,) * (3 - num_own_axes))
    np.testing.assert_array_equal(outputs, expected)


def test_film_without_hidden_layers_is_refused():
    with pytest.raises(ValueError, match="Film modulates hidden layers: set hidden_"):
        conditioned_value(PLANE, NetworkConfig(hidden_sizes=()), Film(), 3)


@EVERY
def test_embedding_of_no_size_is_refused(conditioning):
    with pytest.raises(ValueError, match="embedding_size must be above 0, not 0"):
        conditioned_value(PLANE, CONFIG, conditioning, 0)


@pytest.mark.parametrize("kind", [Film, Hypernetwork])
def test_spread_of_zero_is_refused(kind):
    with pytest.raises(ValueError, match="initial_spread must be above 0"):
        kind(initial_spread=0.0)
