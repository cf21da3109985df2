"""Random finite MDPs: the transitions and rewards are the task."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from gymnax.environments import spaces

from envs.options import checked_integer, checked_number
from envs.tasks import TaskDistribution


class MdpTask(NamedTuple):
    """A finite MDP with S states and A actions."""

    transition: jax.Array  # [S, A, S]; probability of the next state
    reward: jax.Array  # [S, A]; mean reward


class MdpState(NamedTuple):
    index: jax.Array  # []; the number of the current state
    time: jax.Array  # []
    regret: jax.Array  # [T, S, A]; of an action at each time


class TabularMdp:
    """A finite MDP that starts in state 0 and is observed one-hot, [S].

    The reward is the mean reward of the state and action plus Gaussian noise. Nothing
    is terminal: every episode has `horizon` steps. `info` has `regret`, the
    suboptimality gap: how much less the action is worth than the best one, if all that
    follows is done at best. A reset computes those of all actions.
    """

    def __init__(
        self,
        num_states: int = 10,
        num_actions: int = 5,
        horizon: int = 10,
        reward_noise: float = 1.0,
    ):
        self.num_states = num_states
        self.horizon = horizon
        self.reward_noise = reward_noise
        self.observation_space = spaces.Box(0.0, 1.0, (num_states,))
        self.action_space = spaces.Discrete(num_actions)

    def reset(self, key, task):
        regret = _regret(task, self.horizon)
        state = MdpState(jnp.int32(0), jnp.int32(0), regret)
        return self._observe(state), state

    def step(self, key, state, action, task):
        next_key, noise_key = jax.random.split(key)
        probability = task.transition[state.index, action]
        reward = task.reward[state.index, action]
        if self.reward_noise:
            reward += self.reward_noise * jax.random.normal(noise_key)
        index = jax.random.categorical(next_key, jnp.log(probability))
        info = {"regret": state.regret[state.time, state.index, action]}
        state = state._replace(index=index, time=state.time + 1)
        terminated = jnp.array(False)
        truncated = state.time >= self.horizon
        return self._observe(state), state, reward, terminated, truncated, info

    def _observe(self, state):
        return jax.nn.one_hot(state.index, self.num_states)


def _regret(task: MdpTask, horizon: int) -> jax.Array:
    """What is lost by an action against the best one at each time, [T, S, A]."""

    def step(following, _):
        value = task.reward + task.transition @ following
        best = jnp.max(value, axis=-1)
        return best, best[:, None] - value

    end = jnp.zeros(task.reward.shape[0])
    return jax.lax.scan(step, end, length=horizon, reverse=True)[1]


def make(
    num_states: int = 10,
    num_actions: int = 5,
    horizon: int = 10,
    reward_noise: float = 1.0,
) -> tuple[TabularMdp, TaskDistribution]:
    """Transitions Dirichlet(1), mean rewards N(1, 1); episodes start in state 0.

    The defaults are the published ones.

    Args:
      num_states: S.
      num_actions: A.
      horizon: T.
      reward_noise: standard deviation of rewards around their mean.

    References:
      Duan et al., RL^2: Fast Reinforcement Learning via Slow Reinforcement Learning
      (2016), https://arxiv.org/abs/1611.02779
    """
    num_states = checked_integer("num_states", num_states, minimum=1)
    num_actions = checked_integer("num_actions", num_actions, minimum=1)
    horizon = checked_integer("horizon", horizon, minimum=1)
    reward_noise = checked_number("reward_noise", reward_noise, minimum=0.0)

    def sample(key):
        transition_key, reward_key = jax.random.split(key)
        shape = num_states, num_actions
        # Dirichlet(1), many times as fast as by jax.random.dirichlet
        weight = jax.random.exponential(transition_key, (*shape, num_states))
        return MdpTask(
            transition=weight / weight.sum(axis=-1, keepdims=True),
            reward=1.0 + jax.random.normal(reward_key, shape),
        )

    env = TabularMdp(num_states, num_actions, horizon, reward_noise)
    return env, TaskDistribution(train=sample, test=sample)
