"""Gradients through long sequences in bounded memory."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from metarl_jax.types import Array, Memory, Params

Unroll = Callable[[Params, Array, Memory], tuple[Array, Memory]]


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
