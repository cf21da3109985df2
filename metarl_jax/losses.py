"""Losses: pure functions of stored data, which never see an environment.

Every loss averages over all time steps of all episodes, as Finn et al. (2017) do in
their code, so that long episodes weigh more than short ones.
"""

import dataclasses
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from metarl_jax.baselines import BASELINES, BaselineName
from metarl_jax.checks import require_fraction, require_one_of
from metarl_jax.returns import generalized_advantages
from metarl_jax.rollouts import episode_step
from metarl_jax.surrogates import Surrogate
from metarl_jax.types import Array, Distribution, LossFn, Params, Policy, Rollout

# rollout [T, E] -> advantages [T, E]
AdvantageFn = Callable[[Rollout], Array]
# (distributions [T, E], rollout [T, E]) -> scalar
DistributionLoss = Callable[[Distribution, Rollout], Array]

_ROUNDING = 1e-5  # of the mean of many numbers that are equal, relative to them


@dataclasses.dataclass(frozen=True)
class AdvantageConfig:
    """How good an action was: its estimated return less a baseline's.

    With `surrogates.dice` and `trace_decay=1`, `baseline="none"` gives the DiCE of
    Foerster et al. (2018), and a baseline gives Loaded DiCE with full credit.
    """

    baseline: BaselineName = "linear_features"
    discount: float = 0.99  # gamma
    trace_decay: float = 1.0  # lambda of generalised advantage estimation
    normalize: bool = True  # to mean 0 and standard deviation 1 over [T, E]
    weigh_by_discount: bool = False  # see `discount_weighted`

    def __post_init__(self):
        require_one_of(self, "baseline", BASELINES)
        require_fraction(self, "discount", "trace_decay")


def advantages(config: AdvantageConfig) -> AdvantageFn:
    """Generalised advantages over a baseline, which is fitted per rollout."""
    baseline = BASELINES[config.baseline]

    def estimate(rollout: Rollout) -> Array:
        value, next_value = baseline(rollout, config.discount)
        advantage = generalized_advantages(
            rollout, value, next_value, config.discount, config.trace_decay
        )
        return normalized(advantage) if config.normalize else advantage

    if config.weigh_by_discount:
        return discount_weighted(estimate, config.discount)
    return estimate


def normalized(
    advantage: Array,
    weight: Array | float = 1.0,
    axis: int | tuple[int, ...] | None = None,
) -> Array:
    """Shifts to mean 0 and scales to standard deviation 1.

    All are 0 where they differ by no more than rounding, or none counts.

    Args:
      advantage: any shape.
      weight: how much each counts in mean and deviation.
      axis: over which; None: all.
    """
    weight = jnp.broadcast_to(weight, advantage.shape)
    average = partial(jnp.mean, axis=axis, keepdims=True)
    total = average(weight)
    mean = lambda values: average(weight * values) / jnp.where(total == 0, 1.0, total)
    centered = advantage - mean(advantage)
    deviation = jnp.sqrt(mean(centered**2))
    equal = deviation <= _ROUNDING * jnp.max(jnp.abs(advantage), axis, keepdims=True)
    return jnp.where(equal, 0.0, centered / (deviation + 1e-8))


def discount_weighted(estimate: AdvantageFn, discount: float) -> AdvantageFn:
    """Weighs advantages by gamma**t, t counted from the start of the episode.

    Policy-gradient code leaves this weight out, and then follows the gradient of no
    objective (Nota and Thomas 2020, https://arxiv.org/abs/1906.07073). With it the
    gradient is that of the discounted return.
    """
    return lambda rollout: discount ** episode_step(rollout) * estimate(rollout)


def policy_gradient(surrogate: Surrogate, estimate: AdvantageFn) -> DistributionLoss:
    """Minus the surrogate objective, averaged over all steps.

    Args:
      surrogate: how ratios and advantages combine.
      estimate: the advantages; they see only the data.

    Returns:
      `(distributions [T, E], rollout [T, E]) -> scalar`.

    References:
      Williams, REINFORCE (1992); Sutton et al. (2000)
    """

    def loss(distribution: Distribution, rollout: Rollout) -> Array:
        log_ratio = distribution.log_prob(rollout.action) - rollout.log_prob
        return -jnp.mean(surrogate(log_ratio, estimate(rollout), rollout))

    return loss


def of_policy(policy: Policy, loss: DistributionLoss) -> LossFn:
    """The loss as a function of the policy's parameters."""
    return lambda params, rollout: loss(distributions(policy, params, rollout), rollout)


def distributions(policy: Policy, params: Params, rollout: Rollout) -> Distribution:
    """A memoryless policy's distribution at each step of a rollout: leaves [T, E]."""
    act = lambda observation: policy.apply(params, observation, policy.initial_memory)
    return jax.vmap(jax.vmap(lambda observation: act(observation)[0]))(
        rollout.observation
    )


def mean_kl(distribution: Distribution, other: Distribution) -> Array:
    """KL(distribution || other), averaged over all leading axes."""
    return jnp.mean(distribution.kl(other))
