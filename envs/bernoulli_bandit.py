"""Bernoulli bandit: find the best of k arms."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from gymnax.environments import spaces

from envs.options import checked_integer
from envs.tasks import TaskDistribution


class BanditState(NamedTuple):
    time: jax.Array  # []


class BernoulliBandit:
    """k arms that pay 1 or 0; the task is their success probabilities, [k].

    An action is an arm. An episode is `horizon` pulls and is only ever truncated. The
    observation is the constant [1]: what the agent learns of the arms it learns from
    its own actions and rewards. `info` has `regret`, the success probability of the
    best arm less that of the arm pulled.

    References:
      Duan et al., RL^2 (2016), section 3.1, https://arxiv.org/abs/1611.02779
    """

    def __init__(self, num_arms: int, horizon: int):
        self.horizon = horizon
        self.observation_space = spaces.Box(1.0, 1.0, (1,))
        self.action_space = spaces.Discrete(num_arms)

    def reset(self, key, task):
        return jnp.ones(1), BanditState(jnp.int32(0))

    def step(self, key, state, action, task):
        success_probability = task[action]
        reward = jax.random.bernoulli(key, success_probability).astype(float)
        info = {"regret": jnp.max(task) - success_probability}
        state = BanditState(state.time + 1)
        truncated = state.time >= self.horizon
        return jnp.ones(1), state, reward, jnp.bool_(False), truncated, info


def make(
    num_arms: int = 5, horizon: int = 10
) -> tuple[BernoulliBandit, TaskDistribution]:
    """Success probabilities uniform in [0, 1], as published.

    They fill what is possible: there is no outside to draw from.

    Args:
      num_arms: k; 5, 10 and 50 in Duan et al. (2016).
      horizon: T, pulls of an episode; trials of 10, 100 and 500 there.
    """
    num_arms = checked_integer("num_arms", num_arms, minimum=2)
    horizon = checked_integer("horizon", horizon, minimum=1)

    def arms(key):
        return jax.random.uniform(key, (num_arms,))

    return BernoulliBandit(num_arms, horizon), TaskDistribution(train=arms, test=arms)
