"""Long short-term memory."""

import dataclasses

import flax.linen as nn
import jax.numpy as jnp

from metarl_jax.sequence_models.recurrent import RecurrentConfig, recurrent_model
from metarl_jax.types import Params, SequenceModel


@dataclasses.dataclass(frozen=True)
class LstmConfig(RecurrentConfig):
    """Long short-term memory; the fields are those of `RecurrentConfig`."""


def lstm(config: LstmConfig, num_inputs: int, length: int) -> SequenceModel:
    """Long short-term memory, whose memory is the cell and hidden states, [H] each.

    With x the inputs, h the hidden state, c the cell and * the elementwise product:

        i, f, o = sigmoid(W_* x + U_* h + b_*)      input, forget, output
        g = tanh(W_g x + U_g h + b_g)
        c' = f * c + i * g
        h' = o * tanh(c')

    The bias of the forget gate starts at 1, so that what is stored is kept at first.

    Args:
      config: sizes.
      num_inputs: D.
      length: of a trial; the memory has the same size for any.

    Returns:
      The corresponding `SequenceModel`.

    References:
      Gers et al., Learning to Forget: Continual Prediction with LSTM (2000)
      Jozefowicz et al., An Empirical Exploration of Recurrent Network Architectures
      (2015): the bias of the forget gate
    """
    cell = nn.OptimizedLSTMCell(config.hidden_size)
    model = recurrent_model(cell, config, num_inputs)
    return model._replace(init=lambda key: _keep_at_first(model.init(key)))


def _keep_at_first(params: Params) -> Params:
    gates = params["params"]
    forget = {**gates["hf"], "bias": jnp.ones_like(gates["hf"]["bias"])}
    return {"params": {**gates, "hf": forget}}
