"""A causal transformer that keeps the keys and values of what it has read."""

import dataclasses
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from metarl_jax.checks import require, require_positive
from metarl_jax.sequence_models.history import attend, history_model, write
from metarl_jax.types import Array, SequenceModel

_LONGEST_WAVE = 1e4  # steps over 2 pi


@dataclasses.dataclass(frozen=True)
class TransformerConfig:
    """Layers of attention and of a perceptron with a hidden layer of 4 * width."""

    num_layers: int = 2
    num_heads: int = 4
    width: int = 64  # H

    def __post_init__(self):
        require_positive(self, "num_layers", "num_heads", "width")
        multiple = 2 * self.num_heads
        require(
            self.width % multiple == 0,
            f"width must be a multiple of 2 * num_heads, {multiple}, not {self.width}",
        )


class KeysAndValues(NamedTuple):
    keys: Array  # [heads, length, H / heads]
    values: Array  # as `keys`


class TransformerMemory(NamedTuple):
    position: Array  # []; the number of steps read
    layers: tuple[KeysAndValues, ...]


def transformer(
    config: TransformerConfig, num_inputs: int, length: int
) -> SequenceModel:
    """A causal transformer, normalised before each layer, on sinusoidal positions.

    Args:
      config: sizes.
      num_inputs: D.
      length: steps that the memory has room for.

    Returns:
      The corresponding `SequenceModel`.

    References:
      Vaswani et al., Attention Is All You Need (2017), https://arxiv.org/abs/1706.03762
      Xiong et al., On Layer Normalization in the Transformer Architecture (2020),
      https://arxiv.org/abs/2002.04745
    """
    module = _Transformer(config)
    empty = jnp.zeros((config.num_heads, length, config.width // config.num_heads))
    memory = TransformerMemory(
        position=jnp.zeros((), jnp.int32),
        layers=(KeysAndValues(empty, empty),) * config.num_layers,
    )
    return history_model(
        module.init, module.apply, memory, num_inputs, config.width, length
    )


class _Transformer(nn.Module):
    config: TransformerConfig

    @nn.compact
    def __call__(self, inputs: Array, memory: TransformerMemory):
        position, width = memory.position, self.config.width
        steps = position + jnp.arange(inputs.shape[0])
        hidden = nn.Dense(width, name="embedding")(inputs) + _waves(steps, width)
        layers = []
        for index, past in enumerate(memory.layers):
            attention = _Attention(self.config, name=f"attention_{index}")
            read, past = attention(hidden, past, position)
            hidden += read
            hidden += _Perceptron(width, name=f"perceptron_{index}")(hidden)
            layers.append(past)
        features = nn.LayerNorm(name="norm")(hidden)
        return features, TransformerMemory(position + len(inputs), tuple(layers))


class _Attention(nn.Module):
    config: TransformerConfig

    @nn.compact
    def __call__(self, hidden: Array, past: KeysAndValues, position: Array):
        heads, width = self.config.num_heads, self.config.width
        normed = nn.LayerNorm(name="norm")(hidden)
        project = nn.DenseGeneral((3, heads, width // heads), name="project")
        queries, keys, values = jnp.moveaxis(project(normed), 0, 2)
        past = KeysAndValues(
            write(past.keys, keys, position), write(past.values, values, position)
        )
        read = attend(queries, past.keys, past.values, position)
        joined = read.swapaxes(0, 1).reshape(-1, width)
        return nn.Dense(width, name="output")(joined), past


class _Perceptron(nn.Module):
    width: int

    @nn.compact
    def __call__(self, hidden: Array) -> Array:
        normed = nn.LayerNorm(name="norm")(hidden)
        between = nn.gelu(nn.Dense(4 * self.width, name="hidden")(normed))
        return nn.Dense(self.width, name="output")(between)


def _waves(steps: Array, width: int) -> Array:
    """Sines and cosines of steps [L], [L, width]; section 3.5 of Vaswani et al."""
    exponents = jnp.arange(0, width, 2) / width
    angles = steps[:, None] / _LONGEST_WAVE**exponents
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=1)
