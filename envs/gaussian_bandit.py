"""Gaussian bandit: find the best of k arms whose rewards are noisy."""

import jax

from envs.bandit import Bandit
from envs.options import checked_integer, checked_number
from envs.tasks import TaskDistribution


def make(
    num_arms: int = 5, horizon: int = 10, reward_noise: float = 1.0
) -> tuple[Bandit, TaskDistribution]:
    """Mean rewards N(0, 1), and rewards normal around them.

    Args:
      num_arms: k.
      horizon: T, pulls of an episode.
      reward_noise: standard deviation of rewards around their mean.
    """
    num_arms = checked_integer("num_arms", num_arms, minimum=2)
    horizon = checked_integer("horizon", horizon, minimum=1)
    reward_noise = checked_number("reward_noise", reward_noise, minimum=0.0)

    def arms(key):
        return jax.random.normal(key, (num_arms,))

    def payment(key, mean):
        return mean + reward_noise * jax.random.normal(key)

    bandit = Bandit(num_arms, horizon, payment)
    return bandit, TaskDistribution(train=arms, test=arms)
