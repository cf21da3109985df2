"""What recurrent networks share: acting step by step, and unrolling."""

import dataclasses

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


def recurrent_model(
    cell: nn.RNNCellBase, config: RecurrentConfig, num_inputs: int
) -> SequenceModel:
    """A layer of recurrent cells, whose features are its hidden state.

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
    initial_memory = cell.initialize_carry(key, inputs.shape)
    # in a scan nothing could merge the two computations
    advance = jax.checkpoint(cell.apply, prevent_cse=False)

    def step(params: Params, inputs: Array, memory: Memory) -> tuple[Array, Memory]:
        return cell.apply(params, memory, inputs)[::-1]

    def unroll(params: Params, inputs: Array, memory: Memory) -> tuple[Array, Memory]:
        scanned = lambda memory, inputs: advance(params, memory, inputs)
        return jax.lax.scan(scanned, memory, inputs)[::-1]

    return SequenceModel(
        init=lambda key: cell.init(key, initial_memory, inputs),
        initial_memory=initial_memory,
        step=step,
        unroll=in_segments(unroll, config.segment_length),
        num_features=config.hidden_size,
    )
