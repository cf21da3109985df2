"""Gated recurrent units."""

import dataclasses

import jax.numpy as jnp
from jax.nn import sigmoid

from metarl_jax.sequence_models.recurrent import (
    Cell,
    RecurrentConfig,
    recurrent_model,
)
from metarl_jax.types import Array, SequenceModel


@dataclasses.dataclass(frozen=True)
class GruConfig(RecurrentConfig):
    """Gated recurrent units; the fields are those of `RecurrentConfig`."""


def gru(config: GruConfig, num_inputs: int, length: int) -> SequenceModel:
    """Gated recurrent units, whose memory is the hidden state [H].

    With x the inputs, h the hidden state and * the elementwise product:

        r = sigmoid(W_r x + b_r + U_r h)         reset
        z = sigmoid(W_z x + b_z + U_z h)         update
        n = tanh(W_n x + b_n + r * (U_n h))      candidate
        h' = (1 - z) * n + z * h

    The reset gate acts on U_n h, not on h, so that the three recurrent products are
    one.

    Args:
      config: sizes.
      num_inputs: D.
      length: of a trial; the hidden state has the same size for any.

    Returns:
      The corresponding `SequenceModel`.

    References:
      Cho et al., Learning Phrase Representations using RNN Encoder-Decoder for
      Statistical Machine Translation (2014), https://arxiv.org/abs/1406.1078
    """
    return recurrent_model(Cell(3, jnp.zeros, _update, lambda h: h), config, num_inputs)


def _update(projected: Array, recurrent: Array, hidden: Array) -> Array:
    reset_x, update_x, candidate_x = jnp.split(projected, 3)
    reset_h, update_h, candidate_h = jnp.split(recurrent, 3)
    reset = sigmoid(reset_x + reset_h)
    update = sigmoid(update_x + update_h)
    candidate = jnp.tanh(candidate_x + reset * candidate_h)
    return candidate + update * (hidden - candidate)
