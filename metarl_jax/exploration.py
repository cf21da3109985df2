"""Credit to actions before adaptation for what they teach: the term of E-MAML."""

import jax
import jax.numpy as jnp

from metarl_jax.types import Array


def exploration_credit(log_ratio: Array, advantage: Array) -> Array:
    """A loss whose gradient reinforces all sampling that preceded a good outcome.

    The return after adaptation to data D, J(U(theta, D)), depends on theta in two
    ways. With L the loss, R the mean return per time step after adaptation, and b any
    constant, the gradient of the objective E_{D ~ theta}[-R(U(theta, D))] is

        E[ -grad R(U(theta, D)) - sum_{k,t,e} grad log pi_k(a_kte | s_kte) (R - b) ],

    where pi_k is the policy after k steps of adaptation. The first term is the
    gradient of an outer loss through the adaptation with its data held fixed, which
    is what the inner surrogate `log_probability` differentiates; the second is the
    gradient of this term. Beside an inner surrogate that gives credit to sampling
    itself, such as `dice` or `likelihood_ratio`, credit would be given twice.

    Unbiased for any number of episodes, where those surrogates aim at adaptation to
    the expected gradient. But all actions of a trial share one advantage, so that
    the variance does not shrink with the number of episodes.

    Args:
      log_ratio: log-probabilities of all actions before the last adaptation, less
        those that were stored, as functions of the meta-parameters through the
        adapted path: [K, T, E].
      advantage: R - b, the mean return per time step of the adapted policy less a
        baseline that is independent of this trial; a scalar, taken for a constant.

    Returns:
      The scalar to add to a loss.

    References:
      Stadie et al., Some Considerations on Learning to Explore via Meta-Reinforcement
      Learning (2018), https://arxiv.org/abs/1803.01118
      Al-Shedivat et al., Continuous Adaptation via Meta-Learning (2018),
      https://arxiv.org/abs/1710.03641
    """
    return -jnp.sum(log_ratio) * jax.lax.stop_gradient(advantage)  # an outcome, not J
