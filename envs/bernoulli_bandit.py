"""Bernoulli bandit: find the best of k arms that pay 1 or 0."""

import jax

from envs.bandit import Bandit
from envs.options import checked_integer
from envs.tasks import TaskDistribution


def make(num_arms: int = 5, horizon: int = 10) -> tuple[Bandit, TaskDistribution]:
    """Success probabilities uniform in [0, 1], as published.

    They fill what is possible: there is no outside to draw from.

    Args:
      num_arms: k; 5, 10 and 50 in Duan et al. (2016).
      horizon: T, pulls of an episode; trials of 10, 100 and 500 there.

    References:
      Duan et al., RL^2 (2016), section 3.1, https://arxiv.org/abs/1611.02779
    """
    num_arms = checked_integer("num_arms", num_arms, minimum=2)
    horizon = checked_integer("horizon", horizon, minimum=1)

    def arms(key):
        return jax.random.uniform(key, (num_arms,))

    def payment(key, mean):
        return jax.random.bernoulli(key, mean).astype(float)

    bandit = Bandit(num_arms, horizon, payment)
    return bandit, TaskDistribution(train=arms, test=arms)
