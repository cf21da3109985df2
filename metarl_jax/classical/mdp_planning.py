"""Action values to act by in the next episode, from what is known of an MDP.

All functions return action values [T, S, A] for an episode of T = `horizon` steps.
"""

import jax
import jax.numpy as jnp

from metarl_jax.classical.mdp_model import (
    Beliefs,
    Model,
    mean_model,
    sample_model,
)
from metarl_jax.exact import backward_induction, optimal_action_values
from metarl_jax.types import Array, Key

_CONFIDENCE = 0.05  # delta: the probability that a bound of UCRL2 may be wrong


def certainty_equivalent(beliefs: Beliefs, horizon: int) -> Array:
    """Optimal values as if the posterior mean were the truth."""
    return optimal_action_values(mean_model(beliefs), horizon)


def posterior_sample(key: Key, beliefs: Beliefs, horizon: int) -> Array:
    """Optimal values of one MDP drawn from the posterior.

    References:
      Strens, A Bayesian Framework for Reinforcement Learning (2000);
      Osband et al., (More) Efficient Reinforcement Learning via Posterior Sampling
      (2013), https://arxiv.org/abs/1306.0940
    """
    return optimal_action_values(sample_model(key, beliefs), horizon)


def optimistic_posterior_samples(
    key: Key, beliefs: Beliefs, horizon: int, num_samples: int | Array
) -> Array:
    """The largest optimal value of each action among several MDPs of the posterior.

    Each draw is solved by itself, and the maximum is taken for each time, state and
    action, as in the code that Osband and Van Roy published with their paper
    (https://github.com/iosband/TabulaRL): the result is no MDP's action values.

    Args:
      key: consumed.
      beliefs: the posterior.
      horizon: T.
      num_samples: of the posterior, 1 or more; an integer scalar.

    References:
      Osband and Van Roy, Why is Posterior Sampling Better than Optimism for
      Reinforcement Learning? (2017), https://arxiv.org/abs/1607.00215
    """

    def another(index: Array, largest: Array) -> Array:
        sample_key = jax.random.fold_in(key, index)
        return jnp.maximum(largest, posterior_sample(sample_key, beliefs, horizon))

    lowest = jnp.full((horizon, *beliefs.reward_sum.shape), -jnp.inf)
    return jax.lax.fori_loop(0, num_samples, another, lowest)


def exploration_bonus(beliefs: Beliefs, horizon: int, bonus: float | Array) -> Array:
    """Optimal values of the posterior mean with more reward where little is known.

    Args:
      beliefs: the posterior.
      horizon: T.
      bonus: beta; where the parameters of a row of transitions, prior and counts,
        add up to n, its action is paid beta / (1 + n) more.

    References:
      Kolter and Ng, Near-Bayesian Exploration in Polynomial Time (2009)
    """
    model = mean_model(beliefs)
    reward = model.reward + bonus / (1.0 + jnp.sum(beliefs.concentration, axis=-1))
    return optimal_action_values(model._replace(reward=reward), horizon)


def upper_confidence(beliefs: Beliefs, horizon: int, scale: float | Array) -> Array:
    """Optimal values of the best MDP within confidence bounds, as in UCRL2.

    With t the steps of the trial so far and n the visits of a pair, but at least 1, a
    mean reward may be off by sqrt(7 log(2 S A t / delta) / (2 n)), and a row of
    transitions, in the 1-norm, by sqrt(14 S log(2 A t / delta) / n); delta = 0.05.
    Both are multiplied by `scale`, since they are far too careful for short trials.
    The bounds are around the posterior mean, and are computed for each episode rather
    than whenever the visits of a pair have doubled.

    Args:
      beliefs: the posterior.
      horizon: T.
      scale: of the bounds; 1 for those of the paper.

    References:
      Jaksch et al., Near-optimal Regret Bounds for Reinforcement Learning (2010)
    """
    num_states, num_actions = beliefs.reward_sum.shape
    time = jnp.maximum(jnp.sum(beliefs.visits), 1.0)
    visits = jnp.maximum(beliefs.visits, 1.0)
    reward_log = jnp.log(2 * num_states * num_actions * time / _CONFIDENCE)
    transition_log = jnp.log(2 * num_actions * time / _CONFIDENCE)
    model = mean_model(beliefs)
    reward = model.reward + scale * jnp.sqrt(3.5 * reward_log / visits)
    slack = scale * jnp.sqrt(14 * num_states * transition_log / visits)
    return extended_value_iteration(model._replace(reward=reward), slack, horizon)


def extended_value_iteration(model: Model, slack: Array, horizon: int) -> Array:
    """Optimal values where transitions, too, are chosen as one would wish them.

    Args:
      model: transitions around which, and rewards with which, to plan.
      slack: how far a row of transitions may be changed, in the 1-norm, [S, A].
      horizon: T.

    Returns:
      Action values, [T, S, A], none below those of an MDP within the bounds.

    References:
      Jaksch et al., Near-optimal Regret Bounds for Reinforcement Learning (2010),
      figure 2
    """

    def back_up(following: Array) -> Array:
        return model.reward + _best_expectation(model.transition, slack, following)

    return backward_induction(
        back_up, lambda values: values.max(-1), len(slack), horizon
    )


def _best_expectation(transition: Array, slack: Array, values: Array) -> Array:
    """The largest expectation of `values` within `slack` of each row, [S, A].

    Half of the slack goes to the best state, and is taken from the worst ones.
    """
    states = jnp.arange(len(values))
    ties = (values[:, None] == values) & (states[:, None] < states)
    worse = jnp.where((values[:, None] < values) | ties, 1.0, 0.0)  # than the column's
    best = jnp.sum(worse, axis=0) == len(values) - 1
    moved = jnp.minimum(slack / 2, 1.0 - transition[..., jnp.argmax(best)])[..., None]
    taken = jnp.clip(moved - transition @ worse, 0.0, transition)
    return jnp.where(best, transition + moved, transition - taken) @ values
