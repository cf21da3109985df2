"""Fast weights: a memory of associations, which the delta rule corrects."""

import dataclasses
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from metarl_jax.checks import require_positive
from metarl_jax.sequence_models.segments import SegmentedConfig, in_segments
from metarl_jax.types import Array, Memory, Params, SequenceModel


@dataclasses.dataclass(frozen=True)
class FastWeightsConfig(SegmentedConfig):
    """Sizes of matrices that map keys to values."""

    num_heads: int = 4  # matrices
    key_size: int = 16  # of each
    value_size: int = 16

    def __post_init__(self):
        super().__post_init__()
        require_positive(self, "num_heads", "key_size", "value_size")


class Entry(NamedTuple):
    """What one step writes into each head, and where it then reads."""

    query: Array  # [heads, key_size]; sums to 1
    key: Array  # as `query`
    value: Array  # [heads, value_size]
    strength: Array  # [heads, 1]; of the correction, between 0 and 1


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

    So k W' is s |k|^2 of the way from k W to v: all of it where s is 1 and the key is
    a single unit. A gated recurrent unit reads all that it remembers at each step;
    here `key_size` times as many numbers are remembered as are read.

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
    writer = _Writer(config)
    # in a scan nothing could merge the two computations
    advance = jax.checkpoint(_write_and_read, prevent_cse=False)

    def unroll(params: Params, inputs: Array, memory: Memory) -> tuple[Array, Memory]:
        memory, read = jax.lax.scan(advance, memory, writer.apply(params, inputs))
        return jnp.concatenate([inputs, read], axis=1), memory

    def step(params: Params, inputs: Array, memory: Memory) -> tuple[Array, Memory]:
        features, memory = unroll(params, inputs[None], memory)
        return features[0], memory

    return SequenceModel(
        init=lambda key: writer.init(key, jnp.zeros((1, num_inputs))),
        initial_memory=jnp.zeros(
            (config.num_heads, config.key_size, config.value_size)
        ),
        step=step,
        unroll=in_segments(unroll, config.segment_length),
        num_features=num_inputs + config.num_heads * config.value_size,
    )


class _Writer(nn.Module):
    """From inputs [L, D] the `Entry` of each step, leaves [L, ...]."""

    config: FastWeightsConfig

    @nn.compact
    def __call__(self, inputs: Array) -> Entry:
        heads = self.config.num_heads

        def affine(size: int, name: str) -> Array:
            return nn.Dense(heads * size, name=name)(inputs).reshape(-1, heads, size)

        return Entry(
            query=nn.softmax(affine(self.config.key_size, "query")),
            key=nn.softmax(affine(self.config.key_size, "key")),
            value=affine(self.config.value_size, "value"),
            strength=nn.sigmoid(affine(1, "strength")),
        )


def _write_and_read(weights: Array, entry: Entry) -> tuple[Array, Array]:
    """Weights [heads, key_size, value_size] after a step, and what it reads of them."""
    values_of = lambda weights, keys: jnp.einsum("hkv,hk->hv", weights, keys)
    error = entry.value - values_of(weights, entry.key)
    # XLA on a CPU makes slower loops of a broadcast product
    weights += jnp.einsum("hk,hv->hkv", entry.key, entry.strength * error)
    return weights, values_of(weights, entry.query).reshape(-1)
