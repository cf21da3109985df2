"""Fast weights: a memory of associations, which the delta rule corrects."""

import dataclasses
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from metarl_jax.checks import require_positive
from metarl_jax.sequence_models.segments import in_segments
from metarl_jax.types import Array, Memory, Params, SequenceModel


@dataclasses.dataclass(frozen=True)
class FastWeightsConfig:
    """Matrices that map keys to values, and how their gradient is computed.

    `segment_length` is as in `RecurrentConfig`.
    """

    num_heads: int = 4  # matrices
    key_size: int = 16  # of each
    value_size: int = 16
    segment_length: int | None = None  # steps; None: keep the memory of every step

    def __post_init__(self):
        require_positive(self, "num_heads", "key_size", "value_size")
        if self.segment_length is not None:
            require_positive(self, "segment_length")


class Writing(NamedTuple):
    """What a step does to each head: axes [heads, ...]."""

    query: Array  # [heads, key_size]; sums to 1
    key: Array  # as `query`
    value: Array  # [heads, value_size]
    strength: Array  # [heads]; 0 leaves what the key maps to, 1 replaces it


def fast_weights(
    config: FastWeightsConfig, num_inputs: int, length: int
) -> SequenceModel:
    """A memory of matrices W, each [key_size, value_size], which are zero at first.

    With x the inputs, for each head:

        q, k = softmax(W_q x + b_q), softmax(W_k x + b_k)     query and key
        v = W_v x + b_v                                       value
        s = sigmoid(w_s x + b_s)                              strength
        W' = W + s k (v - k W)
        y = q W'

    A gated recurrent unit has as many numbers to remember with as features; here there
    are `key_size` times as many, and a step is cheaper than one of a unit with as many.

    Args:
      config: sizes.
      num_inputs: D.
      length: of a trial; the memory has the same size for any.

    Returns:
      The corresponding `SequenceModel`; its features are x and all y.

    References:
      Schmidhuber, Learning to Control Fast-Weight Memories (1992)
      Schlag et al., Linear Transformers Are Secretly Fast Weight Programmers (2021),
      section 4.2, with a softmax in place of their kernels,
      https://arxiv.org/abs/2102.11174
    """
    module = _Writing(config)
    sizes = config.num_heads, config.key_size, config.value_size
    # in a scan nothing could merge the two computations
    write = jax.checkpoint(_write_and_read, prevent_cse=False)

    def unroll(params: Params, inputs: Array, memory: Memory) -> tuple[Array, Memory]:
        memory, read = jax.lax.scan(write, memory, module.apply(params, inputs))
        return jnp.concatenate([inputs, read], axis=1), memory

    def step(params: Params, inputs: Array, memory: Memory) -> tuple[Array, Memory]:
        features, memory = unroll(params, inputs[None], memory)
        return features[0], memory

    return SequenceModel(
        init=lambda key: module.init(key, jnp.zeros((1, num_inputs))),
        initial_memory=jnp.zeros(sizes),
        step=step,
        unroll=in_segments(unroll, config.segment_length),
        num_features=num_inputs + config.num_heads * config.value_size,
    )


class _Writing(nn.Module):
    """What each step of inputs [L, D] does: a `Writing` [L, ...]."""

    config: FastWeightsConfig

    @nn.compact
    def __call__(self, inputs: Array) -> Writing:
        heads = self.config.num_heads
        affine = lambda size, name: nn.Dense(heads * size, name=name)(inputs)
        by_head = lambda size, name: affine(size, name).reshape(-1, heads, size)
        return Writing(
            query=nn.softmax(by_head(self.config.key_size, "query")),
            key=nn.softmax(by_head(self.config.key_size, "key")),
            value=by_head(self.config.value_size, "value"),
            strength=nn.sigmoid(affine(1, "strength")),
        )


def _write_and_read(weights: Array, writing: Writing) -> tuple[Array, Array]:
    """Weights [heads, key_size, value_size] after a step, and what it reads of them."""
    read = lambda weights, keys: jnp.einsum("hkv,hk->hv", weights, keys)
    error = writing.value - read(weights, writing.key)
    correction = writing.strength[:, None] * error
    # XLA on a CPU makes of a broadcast product loops that take twice as long
    weights += jnp.einsum("hk,hv->hkv", writing.key, correction)
    return weights, read(weights, writing.query).reshape(-1)
