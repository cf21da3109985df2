"""What recurrent networks share: acting step by step, and unrolling."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from metarl_jax.checks import require_positive
from metarl_jax.sequence_models.segments import SegmentedConfig, in_segments
from metarl_jax.types import Array, Memory, Params, SequenceModel


@dataclasses.dataclass(frozen=True)
class RecurrentConfig(SegmentedConfig):
    """Units of a recurrent layer."""

    hidden_size: int = 64  # H

    def __post_init__(self):
        super().__post_init__()
        require_positive(self, "hidden_size")


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
