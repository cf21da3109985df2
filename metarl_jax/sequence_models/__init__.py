"""Networks with a memory: a config and a factory each.

`sequence_model` builds the model that a config belongs to.
"""

import functools
import operator

from metarl_jax.checks import require
from metarl_jax.sequence_models.embedded import embedded as embedded
from metarl_jax.sequence_models.fast_weights import FastWeightsConfig, fast_weights
from metarl_jax.sequence_models.gru import GruConfig, gru
from metarl_jax.sequence_models.lstm import LstmConfig, lstm
from metarl_jax.sequence_models.snail import SnailConfig, snail
from metarl_jax.sequence_models.transformer import TransformerConfig, transformer
from metarl_jax.types import SequenceModel

SEQUENCE_MODELS = {
    GruConfig: gru,
    LstmConfig: lstm,
    TransformerConfig: transformer,
    SnailConfig: snail,
    FastWeightsConfig: fast_weights,
}

SequenceConfig = functools.reduce(operator.or_, SEQUENCE_MODELS)


def sequence_model(
    config: SequenceConfig, num_inputs: int, length: int
) -> SequenceModel:
    """Builds the model whose config this is.

    Args:
      config: one of the configs of `SEQUENCE_MODELS`.
      num_inputs: D.
      length: the number of steps that the memory has to last for, those of a trial.

    Returns:
      The corresponding `SequenceModel`.

    Raises:
      ValueError: if `num_inputs` or `length` is not above 0.
    """
    require(num_inputs > 0, f"num_inputs must be above 0, not {num_inputs}")
    require(length > 0, f"length must be above 0, not {length}")
    return SEQUENCE_MODELS[type(config)](config, num_inputs, length)
