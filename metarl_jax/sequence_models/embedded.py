"""Hidden layers before a sequence model."""

from collections.abc import Callable

import jax

from metarl_jax.networks import NetworkConfig, mlp_features
from metarl_jax.types import Array, Key, Memory, Params, SequenceModel


def embedded(
    num_inputs: int, config: NetworkConfig, make_model: Callable[[int], SequenceModel]
) -> SequenceModel:
    """A sequence model that reads the features of a perceptron.

    The gates of a recurrent unit are monotone functions of a sum over the inputs, so
    that each unit can single out one pair of an action and a state; the features of a
    layer before it are pairs that all units share.

    Args:
      num_inputs: D.
      config: hidden layers; with none, the inputs are the features.
      make_model: from its number of inputs.

    Returns:
      The corresponding `SequenceModel`.
    """
    init_layers, layers = mlp_features(num_inputs, config)
    num_features = config.hidden_sizes[-1] if config.hidden_sizes else num_inputs
    model = make_model(num_features)

    def init(key: Key) -> Params:
        layers_key, model_key = jax.random.split(key)
        return {"embedding": init_layers(layers_key), "model": model.init(model_key)}

    def step(params: Params, inputs: Array, memory: Memory):
        features = layers(params["embedding"], inputs)
        return model.step(params["model"], features, memory)

    def unroll(params: Params, inputs: Array, memory: Memory):
        features = jax.vmap(lambda each: layers(params["embedding"], each))(inputs)
        return model.unroll(params["model"], features, memory)

    return SequenceModel(init, model.initial_memory, step, unroll, model.num_features)
