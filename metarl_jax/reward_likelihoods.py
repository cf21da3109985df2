"""How likely a reward is, given one output of a network."""

import dataclasses

import jax
import jax.numpy as jnp

from metarl_jax.checks import require, require_positive
from metarl_jax.types import Array


@dataclasses.dataclass(frozen=True)
class SquaredError:
    """Rewards are normal around the output.

    With a variance of scale**2 / 2, so that the negative log-likelihood is, but for a
    constant, the squared error in units of `scale`.
    """

    scale: float = 1.0  # units of reward

    def __post_init__(self):
        require_positive(self, "scale")

    def mean(self, output: Array) -> Array:
        """The expected reward."""
        return output

    def error(self, output: Array, reward: Array) -> Array:
        """The negative log-likelihood of `reward`, less a constant."""
        return ((output - reward) / self.scale) ** 2


@dataclasses.dataclass(frozen=True)
class TwoValued:
    """Rewards have one of two values; the output is the logit of the higher one.

    References:
      Zintgraf et al., VariBAD: A Very Good Method for Bayes-Adaptive Deep RL via
      Meta-Learning (2020), section 5.1, https://arxiv.org/abs/1910.08348
    """

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self):
        require(self.low < self.high, f"high must be above low, not {self.high}")

    def mean(self, output: Array) -> Array:
        """The expected reward."""
        return self.low + (self.high - self.low) * jax.nn.sigmoid(output)

    def error(self, output: Array, reward: Array) -> Array:
        """The negative log-likelihood in nats; of the mixture, for rewards between.

        A reward that is beyond one of the two counts as that one: any other would be
        the likelier the surer the network is, without end.
        """
        is_high = jnp.clip((reward - self.low) / (self.high - self.low), 0.0, 1.0)
        return jax.nn.softplus(output) - is_high * output


RewardLikelihood = SquaredError | TwoValued
