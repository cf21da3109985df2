"""Beliefs over tasks: diagonal Gaussians over an embedding."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from metarl_jax.types import Array, Key


class Belief(NamedTuple):
    """What an agent believes of its task: independent normals over an embedding.

    Leaves may have leading axes, which `sample` and `kl` keep.
    """

    mean: Array  # [Z]
    variance: Array  # [Z]

    def sample(self, key: Key) -> Array:
        """Draws an embedding [Z]; differentiable in mean and variance."""
        noise = jax.random.normal(key, self.mean.shape, self.mean.dtype)
        return self.mean + jnp.sqrt(self.variance) * noise

    def kl(self, other: "Belief") -> Array:
        """KL(self || other) in nats; the leading axes."""
        ratio = self.variance / other.variance
        distance = (self.mean - other.mean) ** 2 / other.variance
        return 0.5 * jnp.sum(ratio + distance - 1 - jnp.log(ratio), axis=-1)


def standard_belief(size: int) -> Belief:
    """The prior: mean 0 and variance 1 in each of `size` directions."""
    return Belief(jnp.zeros(size), jnp.ones(size))


def product(means: Array, variances: Array) -> Belief:
    """The normalised product of Gaussian factors: precisions add.

    Args:
      means: [M, ..., Z]; of M factors.
      variances: [M, ..., Z].

    Returns:
      A `Belief` with leaves [..., Z].

    References:
      Rakelly et al., Efficient Off-Policy Meta-Reinforcement Learning via
      Probabilistic Context Variables (2019), section 4.1,
      https://arxiv.org/abs/1903.08254
    """
    variance = 1 / jnp.sum(1 / variances, axis=0)
    return Belief(variance * jnp.sum(means / variances, axis=0), variance)
