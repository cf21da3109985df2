"""Gradients through long sequences in bounded memory."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from metarl_jax.checks import require_positive
from metarl_jax.types import Array, Memory, Params

Unroll = Callable[[Params, Array, Memory], tuple[Array, Memory]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SegmentedConfig:
    """How the gradient through a trial is computed.

    With `segment_length`, a gradient keeps the memory between segments of so many
    steps and computes each segment once more, so that long trials fit.
    """

    segment_length: int | None = None  # steps; None: keep the memory of every step

    def __post_init__(self):
        if self.segment_length is not None:
            require_positive(self, "segment_length")


def in_segments(unroll: Unroll, length: int | None) -> Unroll:
    """Unrolls one segment after another, and computes each again for its gradient.

    What a gradient has to keep is the memory at the start of each segment and what
    one segment computes, in place of what every step computes. Values are the same.

    Args:
      unroll: `(params, inputs [L, D], memory) -> (features [L, H], memory)`.
      length: steps of a segment; the last one may be shorter. None: one segment, of
        which everything is kept.

    Returns:
      The corresponding function, with the arguments of `unroll`.

    References:
      Chen et al., Training Deep Nets with Sublinear Memory Cost (2016),
      https://arxiv.org/abs/1604.06174
    """
    if length is None:
        return unroll

    def segmented(params: Params, inputs: Array, memory: Memory):
        # the whole program is a loop: nothing could merge the two computations
        checkpointed = jax.checkpoint(unroll, prevent_cse=False)

        def segment(memory: Memory, inputs: Array) -> tuple[Memory, Array]:
            return checkpointed(params, inputs, memory)[::-1]

        whole = inputs.shape[0] // length * length
        segments = inputs[:whole].reshape(-1, length, *inputs.shape[1:])
        memory, features = jax.lax.scan(segment, memory, segments)
        features = features.reshape(whole, *features.shape[2:])
        rest, memory = jax.checkpoint(unroll)(params, inputs[whole:], memory)
        return jnp.concatenate([features, rest]), memory

    return segmented
