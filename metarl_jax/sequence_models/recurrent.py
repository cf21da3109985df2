"""What recurrent networks share: parameters, acting step by step, and unrolling."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from metarl_jax.checks import require_positive
from metarl_jax.networks import Linear
from metarl_jax.sequence_models.segments import in_segments
from metarl_jax.types import Array, Memory, Params, SequenceModel


@dataclasses.dataclass(frozen=True)
class RecurrentConfig:
    """Units of a recurrent layer, and how its gradient is computed.

    With `segment_length`, a gradient keeps the memory between segments of so many
    steps and computes each segment twice, so that long trials fit.
    """

    hidden_size: int = 64  # H
    segment_length: int | None = None  # steps; None keeps what every step computes

    def __post_init__(self):
        require_positive(self, "hidden_size")
        if self.segment_length is not None:
            require_positive(self, "segment_length")


class Cell(NamedTuple):
    """What tells one recurrent layer from another; G gates of H units."""

    num_gates: int  # G
    # H -> memory
    initial_memory: Callable[[int], Memory]
    # (W x + b [G H], U h [G H], memory) -> memory
    update: Callable[[Array, Array, Memory], Memory]
    # memory -> h [H]
    hidden: Callable[[Memory], Array]


def recurrent_model(
    cell: Cell, config: RecurrentConfig, num_inputs: int
) -> SequenceModel:
    """A layer of a recurrent cell, whose features are its hidden state.

    Unrolled, the products with the inputs of all steps are one product before the
    scan. Weights of a gate start as LeCun's for the inputs and orthogonal for the
    hidden state, biases at zero.

    Args:
      cell: the equations.
      config: sizes.
      num_inputs: D.

    Returns:
      The corresponding `SequenceModel`.
    """
    size = config.hidden_size
    layers = _Layers(cell.num_gates, size)

    def advance(params: Params, projected: Array, memory: Memory) -> Memory:
        recurrent = layers.apply(params, cell.hidden(memory), method="recur")
        return cell.update(projected, recurrent, memory)

    def step(params: Params, inputs: Array, memory: Memory) -> tuple[Array, Memory]:
        projected = layers.apply(params, inputs, method="project")
        memory = advance(params, projected, memory)
        return cell.hidden(memory), memory

    def unroll(params: Params, inputs: Array, memory: Memory) -> tuple[Array, Memory]:
        def scanned(memory: Memory, projected: Array) -> tuple[Memory, Array]:
            memory = advance(params, projected, memory)
            return memory, cell.hidden(memory)

        projected = layers.apply(params, inputs, method="project")
        memory, features = jax.lax.scan(scanned, memory, projected)
        return features, memory

    return SequenceModel(
        init=lambda key: layers.init(key, jnp.zeros(num_inputs)),
        initial_memory=cell.initial_memory(size),
        step=step,
        unroll=in_segments(unroll, config.segment_length),
        num_features=size,
    )


class _Layers(nn.Module):
    """The two linear maps of a recurrent layer, for all gates at once."""

    num_gates: int
    size: int

    def setup(self):
        num_outputs = self.num_gates * self.size
        input_init = nn.initializers.lecun_normal()
        self.input = Linear(num_outputs, input_init)
        self.recurrent = self.param("recurrent", self._orthogonal)

    def __call__(self, inputs: Array) -> Array:
        return self.project(inputs)

    def project(self, inputs: Array) -> Array:
        return self.input(inputs)

    def recur(self, hidden: Array) -> Array:
        return self.recurrent @ hidden

    def _orthogonal(self, key: Array) -> Array:
        """An orthogonal matrix per gate: [G H, H]."""
        init = nn.initializers.orthogonal()
        draw = lambda key: init(key, (self.size, self.size))
        matrices = jax.vmap(draw)(jax.random.split(key, self.num_gates))
        return matrices.reshape(-1, self.size)
