"""Distributions over one action, as pytrees.

Batched ones have leaves with leading axes, which `log_prob`, `entropy` and `kl` keep;
`sample` is for one distribution.

Written here rather than taken from a library because distributions are built inside
`vmap` and `grad` of `grad`, where distrax's Gaussians fail (its issues 239 and 276).
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metarl_jax.types import Array, Distribution, Key

_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)
_LARGEST_TANH = 1 - 1e-6
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(32)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()  # of the standard normal distribution


class DiagonalGaussian(NamedTuple):
    """Independent normal distributions over the entries of a vector."""

    mean: Array  # [A]
    log_std: Array  # [A]

    def sample(self, key: Key) -> Array:
        noise = jax.random.normal(key, self.mean.shape, self.mean.dtype)
        return self.mean + jnp.exp(self.log_std) * noise

    def log_prob(self, action: Array) -> Array:
        standardized = (action - self.mean) * jnp.exp(-self.log_std)
        return jnp.sum(-0.5 * standardized**2 - self.log_std - _LOG_SQRT_2PI, axis=-1)

    def entropy(self) -> Array:
        return jnp.sum(self.log_std + 0.5 + _LOG_SQRT_2PI, axis=-1)

    def kl(self, other: "DiagonalGaussian") -> Array:
        variance_ratio = jnp.exp(2 * (self.log_std - other.log_std))
        distance = ((self.mean - other.mean) * jnp.exp(-other.log_std)) ** 2
        return 0.5 * jnp.sum(
            variance_ratio + distance - 1 - 2 * (self.log_std - other.log_std), axis=-1
        )

    def mode(self) -> Array:
        return self.mean


class TanhGaussian(NamedTuple):
    """A diagonal Gaussian squashed into (-1, 1) by tanh.

    References:
      Haarnoja et al., Soft Actor-Critic (2018), appendix C,
      https://arxiv.org/abs/1801.01290
    """

    mean: Array  # [A]; before the squashing
    log_std: Array  # [A]; before the squashing

    def sample(self, key: Key) -> Array:
        return jnp.tanh(self._base().sample(key))

    def sample_and_log_prob(self, key: Key) -> tuple[Array, Array]:
        """Actions and their log-densities, differentiable also near the border.

        Leading axes are kept: of many distributions it draws one action each.
        """
        raw = self._base().sample(key)
        slope = jnp.sum(_log_tanh_slope(raw), axis=-1)
        return jnp.tanh(raw), self._base().log_prob(raw) - slope

    def log_prob(self, action: Array) -> Array:
        """The log-density of `action`; actions at the border count as 1 - 1e-6."""
        raw = jnp.arctanh(jnp.clip(action, -_LARGEST_TANH, _LARGEST_TANH))
        return self._base().log_prob(raw) - jnp.sum(_log_tanh_slope(raw), axis=-1)

    def entropy(self) -> Array:
        """The Gaussian's entropy plus the expected log-slope of tanh.

        The expectation has no closed form. Gauss-Hermite quadrature gives it to
        2e-4 nats per action for standard deviations up to 2, and to 0.03 up to 5.
        """
        nodes = jnp.asarray(_NODES, self.mean.dtype)
        weights = jnp.asarray(_WEIGHTS, self.mean.dtype)
        raw = self.mean[..., None] + jnp.exp(self.log_std)[..., None] * nodes
        slope = jnp.sum(weights * _log_tanh_slope(raw), axis=-1)
        return self._base().entropy() + jnp.sum(slope, axis=-1)

    def kl(self, other: "TanhGaussian") -> Array:
        """Exact: KL does not change when both sides are squashed alike."""
        return self._base().kl(other._base())

    def mode(self) -> Array:
        return jnp.tanh(self.mean)

    def _base(self) -> DiagonalGaussian:
        return DiagonalGaussian(self.mean, self.log_std)


class Categorical(NamedTuple):
    """A distribution over the integers 0 .. A-1."""

    logits: Array  # [A]; need not be normalised

    def sample(self, key: Key) -> Array:
        return jax.random.categorical(key, self.logits)

    def log_prob(self, action: Array) -> Array:
        log_probs = jax.nn.log_softmax(self.logits)
        return jnp.take_along_axis(log_probs, action[..., None], axis=-1)[..., 0]

    def entropy(self) -> Array:
        log_probs = jax.nn.log_softmax(self.logits)
        return -jnp.sum(jnp.exp(log_probs) * log_probs, axis=-1)

    def kl(self, other: "Categorical") -> Array:
        log_probs = jax.nn.log_softmax(self.logits)
        other_log_probs = jax.nn.log_softmax(other.logits)
        return jnp.sum(jnp.exp(log_probs) * (log_probs - other_log_probs), axis=-1)

    def mode(self) -> Array:
        return jnp.argmax(self.logits, axis=-1)


class MostLikely(NamedTuple):
    """Draws the mode of a distribution; in all else it is that distribution."""

    base: Distribution

    def sample(self, key: Key) -> Array:
        return self.base.mode()

    def log_prob(self, action: Array) -> Array:
        return self.base.log_prob(action)

    def entropy(self) -> Array:
        return self.base.entropy()

    def kl(self, other: "MostLikely") -> Array:
        return self.base.kl(other.base)

    def mode(self) -> Array:
        return self.base.mode()


def _log_tanh_slope(raw: Array) -> Array:
    """log(1 - tanh(raw)**2), without cancellation for large `raw`."""
    return 2 * (math.log(2) - raw - jax.nn.softplus(-2 * raw))
