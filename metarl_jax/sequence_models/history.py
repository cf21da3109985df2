"""What models share whose memory is all that they have read, in arrays of its size."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from metarl_jax.checks import require
from metarl_jax.types import Array, Memory, Params, SequenceModel

Unroll = Callable[[Params, Array, Memory], tuple[Array, Memory]]


def history_model(
    init: Callable[..., Params],
    unroll: Unroll,
    initial_memory: Memory,
    num_inputs: int,
    num_features: int,
    length: int,
) -> SequenceModel:
    """A model that has a memory for `length` steps; a step is an unroll of one.

    Args:
      init: `(key, inputs [1, D], memory) -> params`.
      unroll: `(params, inputs [L, D], memory) -> (features [L, H], memory)`.
      initial_memory: a pytree with a field `position`, the number of steps read.
      num_inputs: D.
      num_features: H.
      length: steps that fit into the memory. Features of later ones are NaN, since
        a compiled program cannot raise.

    Returns:
      The corresponding `SequenceModel`.
    """

    def checked(params: Params, inputs: Array, memory: Memory) -> tuple[Array, Memory]:
        num_steps = inputs.shape[0]
        require(
            num_steps <= length,
            f"a memory for {length} steps cannot unroll {num_steps}: build the"
            " sequence model with a larger length",
        )
        features, after = unroll(params, inputs, memory)
        is_kept = memory.position + jnp.arange(num_steps) < length
        return jnp.where(is_kept[:, None], features, jnp.nan), after

    def step(params: Params, inputs: Array, memory: Memory) -> tuple[Array, Memory]:
        features, memory = checked(params, inputs[None], memory)
        return features[0], memory

    inputs = jnp.zeros((1, num_inputs))
    return SequenceModel(
        init=lambda key: init(key, inputs, initial_memory),
        initial_memory=initial_memory,
        step=step,
        unroll=checked,
        num_features=num_features,
    )


def write(rows: Array, new: Array, position: Array) -> Array:
    """`rows` [..., M, C] with `new` [..., L, C] in place of those from `position`."""
    return jax.lax.dynamic_update_slice_in_dim(rows, new, position, axis=-2)


def attend(queries: Array, keys: Array, values: Array, position: Array) -> Array:
    """Causal attention of several heads.

    Args:
      queries: of steps `position`, `position + 1`, ...: [heads, L, K].
      keys: of steps 0, 1, ...: [heads, M, K]; rows of later steps are not read.
      values: as `keys`: [heads, M, V].
      position: of the first query.

    Returns:
      What each query reads, [heads, L, V].
    """
    num_queries, size = queries.shape[1:]
    logits = jnp.einsum("hlk,hmk->hlm", queries, keys) / jnp.sqrt(size)
    latest = position + jnp.arange(num_queries)
    is_past = jnp.arange(keys.shape[1]) <= latest[:, None]
    weights = jax.nn.softmax(jnp.where(is_past, logits, -jnp.inf))
    return jnp.einsum("hlm,hmv->hlv", weights, values)
