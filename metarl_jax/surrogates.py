"""Surrogates: objectives of one step, whose derivatives estimate those of the return.

A surrogate is a function of stored data: the log-ratio of each action's probability to
the one that was stored when it was taken, and its advantage. All have the policy
gradient as their gradient where the data was collected; they differ in their higher
derivatives, and once the policy has moved away from its data. `docs/estimators.md`
measures by how much.
"""

from collections.abc import Callable
from typing import Literal

import jax.numpy as jnp

from metarl_jax.returns import discounted_sum
from metarl_jax.rollouts import episode_step
from metarl_jax.types import Array, Rollout

# (log-probability ratios [T, E], advantages [T, E], rollout) -> objective [T, E]
Surrogate = Callable[[Array, Array, Rollout], Array]

SurrogateName = Literal[
    "likelihood_ratio", "clipped", "dice", "loaded_dice", "taypo2", "log_probability"
]


def likelihood_ratio(log_ratio: Array, advantage: Array, rollout: Rollout) -> Array:
    """The low-variance curvature (LVC) surrogate: each step's own likelihood ratio.

    Its gradient is the policy gradient. Its Hessian has little variance and a bias: it
    leaves out how earlier actions change what later ones are worth.

    References:
      Rothfuss et al., ProMP: Proximal Meta-Policy Search (2019),
      https://arxiv.org/abs/1810.06784
    """
    return jnp.exp(log_ratio) * advantage


def dice(log_ratio: Array, advantage: Array, rollout: Rollout) -> Array:
    """The infinitely differentiable surrogate: cumulative ratios within an episode.

    Every derivative is unbiased when advantages are actual returns-to-go less a
    baseline (`trace_decay=1`), at the price of variance. For a zero baseline it is the
    DiCE objective, sum_t w_t r_t, less a constant; the baseline enters in the form
    that lowers the variance of all orders.

    References:
      Foerster et al., DiCE: The Infinitely Differentiable Monte Carlo Estimator (2018),
      https://arxiv.org/abs/1802.05098
      Farquhar et al., Loaded DiCE (2019), https://arxiv.org/abs/1909.10549
    """
    return loaded_dice(log_ratio, advantage, rollout, credit_decay=1.0)


def loaded_dice(
    log_ratio: Array, advantage: Array, rollout: Rollout, credit_decay: float = 0.9
) -> Array:
    """DiCE whose credit for the effect of earlier actions fades with time.

    The log-ratios behind an action count `credit_decay**n`, n steps back. With 1 it is
    `dice`, and with 0 it is `likelihood_ratio`, up to a constant: in between less
    variance of the higher derivatives is paid for with bias.

    References:
      Farquhar et al., Loaded DiCE: Trading off Bias and Variance in Any-Order Score
      Function Estimators (2019), https://arxiv.org/abs/1909.10549
    """
    decay = credit_decay * (episode_step(rollout) > 0).astype(log_ratio.dtype)
    cumulative = discounted_sum(log_ratio, decay, reverse=False)
    return (jnp.exp(cumulative) - jnp.exp(cumulative - log_ratio)) * advantage


def taypo2(log_ratio: Array, advantage: Array, rollout: Rollout) -> Array:
    """The Taylor expansion of the return in policies, up to pairs of actions.

    `likelihood_ratio` is the expansion to first order. On-policy the first two
    derivatives are those of `dice`; off-policy products of many ratios are left out.

    References:
      Tang et al., Unifying Gradient Estimators for Meta-Reinforcement Learning via
      Off-Policy Evaluation (2021), https://arxiv.org/abs/2106.13125
    """
    change = jnp.exp(log_ratio) - 1
    same_episode = (episode_step(rollout) > 0).astype(change.dtype)
    earlier = discounted_sum(change, same_episode, reverse=False) - change
    return change * (1 + earlier) * advantage


def clipped(
    log_ratio: Array, advantage: Array, rollout: Rollout, clip_range: float = 0.2
) -> Array:
    """The likelihood ratio, without reward for leaving `1 - clip_range .. 1 + ...`.

    For several steps on the same data.

    References:
      Schulman et al., Proximal Policy Optimization Algorithms (2017), equation 7,
      https://arxiv.org/abs/1707.06347
    """
    ratio = jnp.exp(log_ratio)
    bounded = jnp.clip(ratio, 1 - clip_range, 1 + clip_range)
    return jnp.minimum(ratio * advantage, bounded * advantage)


def log_probability(log_ratio: Array, advantage: Array, rollout: Rollout) -> Array:
    """The plain score function, whose second derivative is wrong.

    Its gradient is the policy gradient, but its Hessian lacks the outer product of the
    score: pre-adaptation sampling gets no credit. Here for comparison.

    References:
      Al-Shedivat et al., Continuous Adaptation via Meta-Learning (2018), appendix A,
      https://arxiv.org/abs/1710.03641
    """
    return log_ratio * advantage


SURROGATES: dict[str, Surrogate] = {
    "likelihood_ratio": likelihood_ratio,
    "clipped": clipped,
    "dice": dice,
    "loaded_dice": loaded_dice,
    "taypo2": taypo2,
    "log_probability": log_probability,
}
