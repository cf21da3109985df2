"""What recurrent networks share: acting step by step, and unrolling."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from metarl_jax.checks import require_positive
from metarl_jax.sequence_models.segments import in_segments
from metarl_jax.types import Array, Memory, Params, SequenceModel


@dataclasses.dataclass(frozen=True)
class RecurrentConfig:
    """Units of a recurrent layer, and how its gradient is computed.

    With `segment_length`, a gradient keeps the memory between segments of so many
    steps and computes each segment once more, so that long trials fit.
    """

    hidden_size: int = 64  # H
    segment_length: int | None = None  # steps; None: keep the memory of every step

    def __post_init__(self):
        require_positive(self, "hidden_size")
        if self.segment_length is not None:
            require_positive(self, "segment_length")


class RecurrentCell(NamedTuple):
    """The equations of a cell, whose gates are sums over inputs and hidden state."""

    module: nn.RNNCellBase  # of H units; its layers are those below
    input_layers: tuple[str, ...]  # G layers of the inputs
    hidden_layers: tuple[str, ...]  # G layers of the hidden state
    hidden: Callable[[Memory], Array]  # the hidden state, [H], which is in the memory
    # (sums over inputs [G H], sums over hidden state [G H], memory) -> memory
    advance: Callable[[Array, Array, Memory], Memory]


def recurrent_model(
    cell: RecurrentCell, config: RecurrentConfig, num_inputs: int
) -> SequenceModel:
    """A layer of recurrent cells, whose features are its hidden state.

    All gates of a step are two matrix products, of the inputs and of the hidden state.
    Of each step a gradient keeps the memory alone and computes the gates again, which
    is faster than to fetch them.

    Args:
      cell: of H units.
      config: sizes.
      num_inputs: D.

    Returns:
      The corresponding `SequenceModel`.
    """
    inputs = jnp.zeros(num_inputs)
    key = jax.random.key(0)  # cells start at zero, whatever the key
    initial_memory = cell.module.initialize_carry(key, inputs.shape)

    def advance(params: Params, inputs: Array, memory: Memory) -> Memory:
        from_inputs = _affine(params, cell.input_layers, inputs)
        from_hidden = _affine(params, cell.hidden_layers, cell.hidden(memory))
        return cell.advance(from_inputs, from_hidden, memory)

    def step(params: Params, inputs: Array, memory: Memory) -> tuple[Array, Memory]:
        memory = advance(params, inputs, memory)
        return cell.hidden(memory), memory

    # in a scan nothing could merge the two computations
    checkpointed = jax.checkpoint(advance, prevent_cse=False)

    def unroll(params: Params, inputs: Array, memory: Memory) -> tuple[Array, Memory]:
        def scanned(memory: Memory, inputs: Array) -> tuple[Memory, Array]:
            memory = checkpointed(params, inputs, memory)
            return memory, cell.hidden(memory)

        return jax.lax.scan(scanned, memory, inputs)[::-1]

    return SequenceModel(
        init=lambda key: cell.module.init(key, initial_memory, inputs),
        initial_memory=initial_memory,
        step=step,
        unroll=in_segments(unroll, config.segment_length),
        num_features=config.hidden_size,
    )


def _affine(params: Params, names: tuple[str, ...], vector: Array) -> Array:
    """All layers of these names, side by side: [D] -> [G H]."""
    layers = [params["params"][name] for name in names]
    kernel = jnp.concatenate([layer["kernel"] for layer in layers], axis=1)
    no_bias = jnp.zeros(layers[0]["kernel"].shape[1])
    bias = jnp.concatenate([layer.get("bias", no_bias) for layer in layers])
    return vector @ kernel + bias
