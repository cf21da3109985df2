"""What bandits share: an arm is pulled, a reward comes, nothing else happens."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from gymnax.environments import spaces


class BanditState(NamedTuple):
    time: jax.Array  # []


class Bandit:
    """k arms with independent rewards; the task is their mean rewards, [k].

    An action is an arm. An episode is `horizon` pulls and is only ever truncated. The
    observation is the constant [1], the one state one-hot: what the agent learns of the
    arms it learns from its own actions and rewards. `info` has `regret`, the mean
    reward of the best arm less that of the arm pulled.
    """

    def __init__(
        self,
        num_arms: int,
        horizon: int,
        sample_reward: Callable[[jax.Array, jax.Array], jax.Array],
    ):
        """Makes a bandit whose arms pay `sample_reward(key, mean)`, a scalar."""
        self.num_states = 1
        self.horizon = horizon
        self.sample_reward = sample_reward
        self.observation_space = spaces.Box(1.0, 1.0, (1,))
        self.action_space = spaces.Discrete(num_arms)

    def reset(self, key, task):
        return jnp.ones(1), BanditState(jnp.int32(0))

    def step(self, key, state, action, task):
        mean = task[action]
        reward = self.sample_reward(key, mean)
        info = {"regret": jnp.max(task) - mean}
        state = BanditState(state.time + 1)
        truncated = state.time >= self.horizon
        return jnp.ones(1), state, reward, jnp.bool_(False), truncated, info
