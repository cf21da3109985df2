import dataclasses
from functools import cache

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from probe import SMALL_MODELS, flatten, relative_error

from metarl_jax.networks import NetworkConfig
from metarl_jax.sequence_models import (
    SEQUENCE_MODELS,
    FastWeightsConfig,
    GruConfig,
    LstmConfig,
    SnailConfig,
    TransformerConfig,
    embedded,
    sequence_model,
)

LENGTH, NUM_INPUTS = 12, 3
LARGER = {  # where those above do not suffice to recall an input
    GruConfig: {"hidden_size": 16},
    LstmConfig: {"hidden_size": 16},
    TransformerConfig: {"width": 16},
}
RECURRENT = (GruConfig, LstmConfig, FastWeightsConfig)
CACHED = (TransformerConfig, SnailConfig)

all_models = pytest.mark.parametrize("config_type", SEQUENCE_MODELS)
recurrent_models = pytest.mark.parametrize("config_type", RECURRENT)


@cache  # one model is compiled once
def model_and_params(config_type, length=LENGTH, **changes):
    model = model_of(config_type, length, **changes)
    return model, jax.jit(model.init)(jax.random.key(1))


def model_of(config_type, length=LENGTH, **changes):
    config = dataclasses.replace(SMALL_MODELS[config_type], **changes)
    return sequence_model(config, NUM_INPUTS, length)


def inputs(*shape):
    return np.random.RandomState(2).normal(size=(*shape, NUM_INPUTS)).astype("f4")


def step_by_step(model, params, sequence):
    step = jax.jit(model.step)
    memory, features = model.initial_memory, []
    for each in sequence:
        feature, memory = step(params, each, memory)
        features.append(feature)
    return np.stack(features), memory


def unroll(model, params, sequence):
    return jax.jit(model.unroll)(params, sequence, model.initial_memory)


def assert_close(left, right):
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=2e-4, atol=2e-6), left, right
    )


@all_models
def test_unroll_equals_step_by_step(config_type):
    model, params = model_and_params(config_type)
    sequence = inputs(LENGTH)
    expected = step_by_step(model, params, sequence)
    assert expected[0].shape == (LENGTH, model.num_features)
    assert_close(unroll(model, params, sequence), expected)


@all_models
@pytest.mark.parametrize("first", [1, LENGTH - 1])
def test_unroll_in_two_parts_equals_unroll_at_once(config_type, first):
    model, params = model_and_params(config_type)
    sequence = inputs(LENGTH)
    before, memory = unroll(model, params, sequence[:first])
    after, memory = jax.jit(model.unroll)(params, sequence[first:], memory)
    parts = np.concatenate([before, after]), memory
    assert_close(parts, unroll(model, params, sequence))


@all_models
def test_features_depend_on_all_inputs_until_then_and_on_no_later_ones(config_type):
    model, params = model_and_params(config_type)
    features = lambda sequence: model.unroll(params, sequence, model.initial_memory)[0]
    jacobian = jax.jit(jax.jacobian(features))(inputs(LENGTH))  # [L, H, L, D]
    depends = np.abs(jacobian).sum((1, 3)) > 0
    np.testing.assert_array_equal(depends, np.tri(LENGTH, dtype=bool))


@all_models
def test_a_batch_of_sequences_equals_single_ones(config_type):
    model, params = model_and_params(config_type)
    sequences = inputs(3, LENGTH)
    batch = jax.vmap(model.unroll, in_axes=(None, 0, None))
    together = jax.device_get(jax.jit(batch)(params, sequences, model.initial_memory))
    for index, sequence in enumerate(sequences):
        one = jax.tree.map(lambda leaf, index=index: leaf[index], together)
        assert_close(one, unroll(model, params, sequence))


@all_models
def test_memories_of_a_batch_may_be_at_different_steps(config_type):
    model, params = model_and_params(config_type)
    sequence = inputs(LENGTH)
    steps = np.array([1, LENGTH - 1])
    memories = [unroll(model, params, sequence[:n])[1] for n in steps]
    batch = jax.tree.map(lambda *leaves: np.stack(leaves), *memories)
    step = jax.vmap(model.step, in_axes=(None, 0, 0))
    features, _ = jax.jit(step)(params, sequence[steps], batch)
    assert_close(features, unroll(model, params, sequence)[0][steps])


@all_models
def test_recalls_its_first_input_after_ten_steps(config_type):
    model, params = model_and_params(config_type, **LARGER.get(config_type, {}))
    params = {"memory": params, "head": jnp.zeros(model.num_features)}
    optimizer = optax.flatten(optax.adam(2e-2))

    def loss_and_accuracy(params, key):
        bits = jax.random.bernoulli(key, shape=(32, LENGTH)) * 2.0 - 1.0
        is_first = jnp.arange(LENGTH) == 0
        read = lambda bits: model.unroll(
            params["memory"],
            jnp.stack([bits, is_first, jnp.ones(LENGTH)], axis=1),
            model.initial_memory,
        )[0][-1]
        margins = jax.vmap(read)(bits) @ params["head"] * bits[:, 0]
        return jnp.mean(jax.nn.softplus(-margins)), jnp.mean(margins > 0)

    def update(state, key):
        params, moments = state
        gradient, accuracy = jax.grad(loss_and_accuracy, has_aux=True)(params, key)
        updates, moments = optimizer.update(gradient, moments)
        return (optax.apply_updates(params, updates), moments), accuracy

    @jax.jit
    def accuracies(params):
        """On the bits of each update, which are new, before it."""
        keys = jax.random.split(jax.random.key(3), 121)
        return jax.lax.scan(update, (params, optimizer.init(params)), keys)[1]

    assert accuracies(params)[-1] == 1.0


@recurrent_models
@pytest.mark.parametrize("segment_length", [4, 5, LENGTH + 1])
def test_segments_leave_the_gradient_as_it_is(config_type, segment_length):
    _, params = model_and_params(config_type)
    segmented = model_of(config_type, segment_length=segment_length)
    actual = gradient_through(segmented, LENGTH, features_and_memory)(params)
    value, gradient = gradient_without_segments(config_type)
    np.testing.assert_allclose(actual[0], value, rtol=1e-6)
    assert relative_error(actual[1], gradient) < 1e-6


@cache
def gradient_without_segments(config_type):
    model, params = model_and_params(config_type)
    return gradient_through(model, LENGTH, features_and_memory)(params)


def features_and_memory(features, memory):
    return features, memory


@recurrent_models
def test_segments_bound_the_memory_of_a_gradient(config_type):
    in_segments, at_once = (
        gradient_through_a_thousand_steps(config_type, **changes).memory_analysis()
        for changes in ({"segment_length": 32}, {})
    )
    # what is kept falls from L memories to L / 32 + 32 of them
    assert in_segments.temp_size_in_bytes < at_once.temp_size_in_bytes / 4


@recurrent_models
def test_gradient_through_a_thousand_steps_is_finite(config_type):
    _, params = model_and_params(config_type)
    _, gradient = gradient_through_a_thousand_steps(config_type)(params)
    norm = np.linalg.norm(flatten(gradient))
    assert np.isfinite(norm) and norm > 0


@cache
def gradient_through_a_thousand_steps(config_type, **changes):
    _, params = model_and_params(config_type)
    model = model_of(config_type, **changes)
    return gradient_through(model, 1000).lower(params).compile()


def gradient_through(model, num_steps, of=lambda features, memory: memory):
    """Value and gradient of the sum of squares of a part of what `unroll` gives."""
    sequence = jnp.asarray(inputs(num_steps))

    def value(params):
        given = of(*model.unroll(params, sequence, model.initial_memory))
        return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(given))

    return jax.jit(jax.value_and_grad(value))


def test_gru_follows_its_equations():
    model, params = model_and_params(GruConfig)
    # biases other than zero
    params = jax.tree.map(lambda leaf: np.asarray(leaf) + 0.1, params)
    cell = params["params"]
    linear = lambda name, x: x @ cell[name]["kernel"] + cell[name].get("bias", 0)
    sigmoid = lambda x: 1 / (1 + np.exp(-x))
    sequence = inputs(4)
    hidden = np.zeros(8)
    for x in sequence:
        reset = sigmoid(linear("ir", x) + linear("hr", hidden))
        update = sigmoid(linear("iz", x) + linear("hz", hidden))
        candidate = np.tanh(linear("in", x) + reset * linear("hn", hidden))
        hidden = (1 - update) * candidate + update * hidden
    assert_close(unroll(model, params, sequence)[1], hidden)


def test_fast_weights_follow_their_equations():
    model, params = model_and_params(FastWeightsConfig)
    params = jax.tree.map(lambda leaf: np.asarray(leaf) + 0.1, params)
    layers = params["params"]
    outputs = lambda name, x: x @ layers[name]["kernel"] + layers[name]["bias"]
    linear = lambda name, x, head: outputs(name, x).reshape(2, -1)[head]
    softmax = lambda x: np.exp(x) / np.exp(x).sum()
    sequence = inputs(4)
    weights = np.zeros((2, 4, 3))
    for x in sequence:
        for head in range(2):
            key, value = softmax(linear("key", x, head)), linear("value", x, head)
            strength = 1 / (1 + np.exp(-linear("strength", x, head)))
            error = value - key @ weights[head]
            weights[head] += strength * np.outer(key, error)
    queries = [softmax(linear("query", sequence[-1], head)) for head in range(2)]
    read = [query @ matrix for query, matrix in zip(queries, weights, strict=True)]
    features, memory = unroll(model, params, sequence)
    assert_close(memory, weights)
    assert_close(features[-1], np.concatenate([sequence[-1], *read]))


def test_fast_weights_read_what_was_last_written_under_a_key():
    model, params = model_and_params(FastWeightsConfig)
    params = {"params": sharp_layers(params["params"])}
    # key 0 or 1, what is written, and whether it is
    steps = [(0, 5.0), (1, 7.0), (0, 6.0), (1, None), (0, None)]
    sequence = np.array(
        [[1 - 2 * key, value or 0.0, 1 if value else -1] for key, value in steps]
    )
    features, _ = unroll(model, params, sequence)
    read = np.asarray(features)[:, NUM_INPUTS:]
    expected = np.tile([[5], [7], [6], [7], [6]], (1, 6))
    np.testing.assert_allclose(read, expected, rtol=1e-5)


def test_fast_weights_of_a_soft_key_go_a_part_of_the_way():
    model, params = model_and_params(FastWeightsConfig)
    zero = jax.tree.map(np.zeros_like, params["params"])
    zero["value"]["bias"] += 8.0
    zero["strength"]["bias"] += 50.0
    features, _ = unroll(model, {"params": zero}, inputs(1))
    # a key of four entries of 1/4 has the squared length 1/4
    np.testing.assert_allclose(np.asarray(features)[0, NUM_INPUTS:], 2.0, rtol=1e-6)


def sharp_layers(layers):
    """Key 0 if input 0 is positive, else 1; input 1 is written if 2 is positive."""
    zero = jax.tree.map(np.zeros_like, layers)
    for name in ("key", "query"):
        signs = zero[name]["kernel"].reshape(NUM_INPUTS, 2, 4)  # a view
        signs[0, :, 0], signs[0, :, 1] = 50, -50
    zero["value"]["kernel"][1] = 1
    zero["strength"]["kernel"][2] = 50
    return zero


@pytest.mark.parametrize(
    ("config_type", "cell"),
    [(GruConfig, nn.GRUCell(8)), (LstmConfig, nn.OptimizedLSTMCell(8))],
)
def test_recurrent_models_compute_what_the_cells_of_flax_do(config_type, cell):
    model, params = model_and_params(config_type)
    random = np.random.RandomState(3)
    shifted = lambda leaf: leaf + 0.1 * random.normal(size=leaf.shape).astype("f4")
    params = jax.tree.map(lambda leaf: shifted(np.asarray(leaf)), params)
    memory, features = model.initial_memory, []
    apply = jax.jit(cell.apply)
    for each in inputs(4):
        memory, feature = apply(params, memory, each)
        features.append(feature)
    assert_close(unroll(model, params, inputs(4)), (np.stack(features), memory))


def test_recurrent_weights_start_orthogonal_and_biases_at_zero():
    _, params = model_and_params(GruConfig)
    for name, layer in params["params"].items():
        np.testing.assert_array_equal(layer.get("bias", 0), 0)
        if name.startswith("h"):
            kernel = np.asarray(layer["kernel"])
            product = kernel.T @ kernel
            np.testing.assert_allclose(product, np.eye(8), atol=1e-5)


def test_forget_gate_of_the_lstm_starts_open():
    _, params = model_and_params(LstmConfig)
    biases = {k: v["bias"] for k, v in params["params"].items() if "bias" in v}
    for name, bias in biases.items():
        np.testing.assert_array_equal(bias, 1 if name == "hf" else 0)


@pytest.mark.parametrize(
    ("config_type", "names"),
    [
        (GruConfig, "hn hr hz in ir iz"),
        (LstmConfig, "hf hg hi ho if ig ii io"),
        (FastWeightsConfig, "key query strength value"),
        (
            TransformerConfig,
            "attention_0 attention_1 embedding norm perceptron_0 perceptron_1",
        ),
        (
            SnailConfig,
            "attention convolution_0 convolution_1 convolution_2 convolution_3"
            " convolution_4 convolution_5 convolution_6 convolution_7 embedding",
        ),
    ],
)
def test_parameters_have_the_names_that_checkpoints_know(config_type, names):
    _, params = model_and_params(config_type)
    assert " ".join(sorted(params["params"])) == names


def test_a_block_of_snail_sees_the_whole_trial_by_itself():
    model, params = model_and_params(SnailConfig, num_convolutions=1, length=9)
    last = lambda sequence: model.unroll(params, sequence, model.initial_memory)[0][-1]
    without_attention = lambda sequence: last(sequence)[
        : -SMALL_MODELS[SnailConfig].filters
    ]
    jacobian = jax.jit(jax.jacobian(without_attention))(inputs(9))  # [H, L, D]
    assert (np.abs(jacobian).sum((0, 2)) > 0).all()


@pytest.mark.parametrize("config_type", CACHED)
def test_features_of_steps_beyond_the_length_are_not_numbers(config_type):
    model, params = model_and_params(config_type)
    features, _ = step_by_step(model, params, inputs(LENGTH + 1))
    beyond = np.arange(LENGTH + 1) == LENGTH
    np.testing.assert_array_equal(np.isnan(features).any(1), beyond)


@pytest.mark.parametrize("config_type", CACHED)
def test_unroll_of_more_steps_than_the_length_is_refused(config_type):
    model, params = model_and_params(config_type)
    with pytest.raises(ValueError, match="for 12 steps cannot unroll 13"):
        model.unroll(params, inputs(LENGTH + 1), model.initial_memory)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GruConfig(hidden_size=0), "hidden_size must be above 0, not 0"),
        (lambda: LstmConfig(segment_length=0), "segment_length must be above 0, not 0"),
        (lambda: TransformerConfig(num_layers=0), "num_layers must be above 0"),
        (lambda: TransformerConfig(width=60), "multiple of 2 \\* num_heads, 8, not 60"),
        (lambda: FastWeightsConfig(key_size=0), "key_size must be above 0, not 0"),
        (lambda: SnailConfig(filters=-1), "filters must be above 0, not -1"),
        (lambda: sequence_model(GruConfig(), 0, 5), "num_inputs must be above 0"),
        (lambda: sequence_model(GruConfig(), 3, 0), "length must be above 0, not 0"),
    ],
)
def test_bad_sizes_are_refused_in_one_line(make, message):
    with pytest.raises(ValueError, match=message) as error:
        make()
    assert "\n" not in str(error.value)


def test_embedding_is_a_layer_before_the_model():
    layers = NetworkConfig((5,), activation="relu")
    model = embedded(
        NUM_INPUTS, layers, lambda size: sequence_model(GruConfig(4), size, LENGTH)
    )
    params = jax.jit(model.init)(jax.random.key(0))
    layer = jax.device_get(params["embedding"]["params"]["hidden_0"])
    seen = np.maximum(inputs(LENGTH) @ layer["weight"].T + layer["bias"], 0)
    plain = sequence_model(GruConfig(4), 5, LENGTH)
    at_once = unroll(model, params, inputs(LENGTH))
    assert_close(at_once, unroll(plain, params["model"], seen))
    assert_close(at_once, step_by_step(model, params, inputs(LENGTH)))
