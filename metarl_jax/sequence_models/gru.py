"""Gated recurrent units."""

import dataclasses

import flax.linen as nn

from metarl_jax.sequence_models.recurrent import RecurrentConfig, recurrent_model
from metarl_jax.types import SequenceModel


@dataclasses.dataclass(frozen=True)
class GruConfig(RecurrentConfig):
    """Gated recurrent units; the fields are those of `RecurrentConfig`."""


def gru(config: GruConfig, num_inputs: int, length: int) -> SequenceModel:
    """Gated recurrent units, whose memory is the hidden state [H].

    With x the inputs, h the hidden state and * the elementwise product:

        r = sigmoid(W_r x + b_r + U_r h)            reset
        z = sigmoid(W_z x + b_z + U_z h)            update
        n = tanh(W_n x + b_n + r * (U_n h + c_n))   candidate
        h' = (1 - z) * n + z * h

    Args:
      config: sizes.
      num_inputs: D.
      length: of a trial; the memory has the same size for any.

    Returns:
      The corresponding `SequenceModel`.

    References:
      Cho et al., Learning Phrase Representations using RNN Encoder-Decoder for
      Statistical Machine Translation (2014), https://arxiv.org/abs/1406.1078
    """
    return recurrent_model(nn.GRUCell(config.hidden_size), config, num_inputs)
