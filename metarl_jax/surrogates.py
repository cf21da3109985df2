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

    rho_t * A_t, with rho_t = pi(a_t | s_t) / mu(a_t | s_t), mu being who collected the
    data. Its Hessian there is H_1 + H_2 of Rothfuss et al., which has little variance
    and a bias: it lacks H_12 and its transpose, how actions change what later ones are
    worth. Away from the data it keeps the states that the data was collected in.

    References:
      Rothfuss et al., ProMP: Proximal Meta-Policy Search (2019), equations 9 and 10,
      https://arxiv.org/abs/1810.06784
    """
    return jnp.exp(log_ratio) * advantage


def dice(log_ratio: Array, advantage: Array, rollout: Rollout) -> Array:
    """The infinitely differentiable surrogate: cumulative ratios within an episode.

    (w_t - w_{t-1}) * A_t, with w_t = rho_0 * ... * rho_t and w_{-1} = 1. Summed over an
    episode of returns-to-go this is sum_t w_t * r_t, the DiCE objective, less a
    constant. A baseline in A_t lowers the variance of every derivative and biases none
    if it is independent of the data; one that is fitted to the data biases by an
    amount that vanishes with the number of episodes. Needs actual returns
    (`trace_decay=1`); holds also away from the data.

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

    (exp(W_t) - exp(W_t - log rho_t)) * A_t, with W_t = log rho_t + credit_decay *
    W_{t-1} within an episode. With a credit decay of 1 it is `dice`; with 0 it is
    `likelihood_ratio` less a constant: in between less variance of the second and
    higher derivatives is paid for with bias. Advantages with `trace_decay` below 1
    do the same for the first one.

    References:
      Farquhar et al., Loaded DiCE: Trading off Bias and Variance in Any-Order Score
      Function Estimators (2019), algorithm 1, https://arxiv.org/abs/1909.10549
    """
    decay = credit_decay * (episode_step(rollout) > 0).astype(log_ratio.dtype)
    cumulative = discounted_sum(log_ratio, decay, reverse=False)
    return (jnp.exp(cumulative) - jnp.exp(cumulative - log_ratio)) * advantage


def taypo2(log_ratio: Array, advantage: Array, rollout: Rollout) -> Array:
    """The Taylor expansion of the return in policies, up to pairs of actions.

    (rho_t - 1) * (1 + sum_{u<t} (rho_u - 1)) * A_t, u in the same episode. The first
    factor alone is the expansion to first order, `likelihood_ratio`. Where the data
    was collected the first two derivatives of every sample are those of `dice`, and
    the third is biased; away from it there is the bias of products of three ratios
    and more, and none of their variance.

    References:
      Tang et al., Taylor Expansion Policy Optimization (2020),
      https://arxiv.org/abs/2003.06259
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

    min(rho_t * A_t, clip(rho_t) * A_t). Where the data was collected all derivatives
    are those of `likelihood_ratio`; for several steps on the same data.

    References:
      Schulman et al., Proximal Policy Optimization Algorithms (2017), equation 7,
      https://arxiv.org/abs/1707.06347
    """
    ratio = jnp.exp(log_ratio)
    bounded = jnp.clip(ratio, 1 - clip_range, 1 + clip_range)
    return jnp.minimum(ratio * advantage, bounded * advantage)


def log_probability(log_ratio: Array, advantage: Array, rollout: Rollout) -> Array:
    """The plain score function, whose second derivative is wrong.

    log pi(a_t | s_t) * A_t, less a constant. Its Hessian is H_2 of Rothfuss et al.
    alone: it lacks the outer products of scores, so that sampling before adaptation
    gets no credit. Biased, and for comparison; right only as the derivative of an
    adaptation whose data is held fixed, beside `exploration.exploration_credit`.

    References:
      Al-Shedivat et al., Continuous Adaptation via Meta-Learning (2018), appendix A,
      https://arxiv.org/abs/1710.03641
      Rothfuss et al., ProMP (2019), section 5, https://arxiv.org/abs/1810.06784
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
