"""SNAIL: temporal convolutions and attention."""

import dataclasses
import math
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from metarl_jax.checks import require_positive
from metarl_jax.sequence_models.history import attend, history_model, write
from metarl_jax.types import Array, SequenceModel


@dataclasses.dataclass(frozen=True)
class SnailConfig:
    """Sizes of the policies of Mishra et al. for bandits and tabular MDPs.

    A linear layer, `num_convolutions` blocks of temporal convolutions one after the
    other, and a block of attention.
    """

    embedding_size: int = 32
    num_convolutions: int = 2  # blocks
    filters: int = 32  # of each layer of a block
    key_size: int = 32
    value_size: int = 32

    def __post_init__(self):
        require_positive(self, *(field.name for field in dataclasses.fields(self)))


class SnailMemory(NamedTuple):
    position: Array  # []; the number of steps read
    # [reach + length, C]; outputs of all layers below the attention, after zeros for
    # the steps before the first
    channels: Array
    keys: Array  # [1, length, key_size]; one head
    values: Array  # [1, length, value_size]


def snail(config: SnailConfig, num_inputs: int, length: int) -> SequenceModel:
    """Temporal convolutions and attention; every layer reads those below it.

    Args:
      config: sizes.
      num_inputs: D.
      length: steps that the memory has room for, and that a block of convolutions
        sees: it has ceil(log2 length) layers.

    Returns:
      The corresponding `SequenceModel`; its features are the outputs of all layers.

    References:
      Mishra et al., A Simple Neural Attentive Meta-Learner (2018), section 3,
      https://arxiv.org/abs/1707.03141
    """
    dilations = config.num_convolutions * _dilations(length)
    module = _Snail(config, dilations)
    num_channels = config.embedding_size + len(dilations) * config.filters
    memory = SnailMemory(
        position=jnp.zeros((), jnp.int32),
        channels=jnp.zeros((module.reach + length, num_channels)),
        keys=jnp.zeros((1, length, config.key_size)),
        values=jnp.zeros((1, length, config.value_size)),
    )
    num_features = num_channels + config.value_size
    return history_model(
        module.init, module.apply, memory, num_inputs, num_features, length
    )


def _dilations(length: int) -> tuple[int, ...]:
    """Steps between the two that each layer of a block reads: 1, 2, 4, ..."""
    return tuple(2**layer for layer in range(math.ceil(math.log2(length))))


class _Snail(nn.Module):
    config: SnailConfig
    dilations: tuple[int, ...]

    @property
    def reach(self) -> int:
        return max(self.dilations, default=0)

    @nn.compact
    def __call__(self, inputs: Array, memory: SnailMemory):
        position = memory.position
        start = self.reach + position
        channels = nn.Dense(self.config.embedding_size, name="embedding")(inputs)
        for index, dilation in enumerate(self.dilations):
            delayed = _delayed(channels, memory.channels, start, dilation)
            layer = _Convolution(self.config.filters, name=f"convolution_{index}")
            channels = jnp.concatenate([channels, layer(channels, delayed)], axis=1)
        attention = _Attention(self.config, name="attention")
        read, keys, values = attention(channels, memory.keys, memory.values, position)
        memory = SnailMemory(
            position=position + inputs.shape[0],
            channels=write(memory.channels, channels, start),
            keys=keys,
            values=values,
        )
        return jnp.concatenate([channels, read], axis=1), memory


class _Convolution(nn.Module):
    """A gated convolution that reads a step and one before it."""

    filters: int

    @nn.compact
    def __call__(self, channels: Array, delayed: Array) -> Array:
        both = jnp.concatenate([delayed, channels], axis=1)
        taps = nn.Dense(2 * self.filters, name="taps")(both)
        filtered, gate = jnp.split(taps, 2, axis=1)
        return jnp.tanh(filtered) * nn.sigmoid(gate)


class _Attention(nn.Module):
    """One head, which reads the outputs of all layers below."""

    config: SnailConfig

    @nn.compact
    def __call__(self, channels: Array, keys: Array, values: Array, position: Array):
        affine = lambda size, name: nn.Dense(size, name=name)(channels)[None]
        queries = affine(self.config.key_size, "query")
        keys = write(keys, affine(self.config.key_size, "key"), position)
        values = write(values, affine(self.config.value_size, "value"), position)
        return attend(queries, keys, values, position)[0], keys, values


def _delayed(channels: Array, past: Array, start: Array, dilation: int) -> Array:
    """The channels [L, c] of `dilation` steps before each; `past` ends at `start`."""
    num_steps, num_channels = channels.shape
    num_past = min(dilation, num_steps)
    sizes = (num_past, num_channels)
    earlier = jax.lax.dynamic_slice(past, (start - dilation, 0), sizes)
    return jnp.concatenate([earlier, channels[: num_steps - num_past]])
