"""What is known of a tabular MDP after some of its steps."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from metarl_jax.classical.gamma_draws import dirichlet
from metarl_jax.types import Array, Key


class Model(NamedTuple):
    """Transitions and mean rewards of an MDP with S states and A actions."""

    transition: Array  # [S, A, S]; probability of the next state
    reward: Array  # [S, A]; mean reward


class Prior(NamedTuple):
    """What an agent believes of every state and action before the first step.

    A row of transitions is Dirichlet(c, ..., c), and a mean reward is N(m, 1 / p).
    """

    concentration: float | Array = 1.0  # c
    reward_mean: float | Array = 1.0  # m
    reward_precision: float | Array = 1.0  # p, in rewards with noise N(0, 1)


class Beliefs(NamedTuple):
    """The posterior over MDPs; all pairs of state and action are independent.

    After n visits of a pair, its row of transitions is Dirichlet(c + counts), and its
    mean reward is N((p m + sum of rewards) / (p + n), 1 / (p + n)): a reward is its
    mean plus noise N(0, 1).
    """

    prior: Prior
    transitions: Array  # [S, A, S]; how often each was seen
    reward_sum: Array  # [S, A]

    @property
    def visits(self) -> Array:
        """How often each action was taken in each state, n, [S, A]."""
        return jnp.sum(self.transitions, axis=-1)

    @property
    def concentration(self) -> Array:
        """The parameters of the rows of transitions, [S, A, S]."""
        return self.prior.concentration + self.transitions

    @property
    def reward_precision(self) -> Array:
        """The inverse variance of mean rewards, [S, A]."""
        return self.prior.reward_precision + self.visits


def no_experience(num_states: int, num_actions: int, prior: Prior) -> Beliefs:
    """What is believed before the first step."""
    shape = num_states, num_actions
    return Beliefs(prior, jnp.zeros((*shape, num_states)), jnp.zeros(shape))


def observe(
    beliefs: Beliefs, state: Array, action: Array, reward: Array, next_state: Array
) -> Beliefs:
    """Adds one step, given by the numbers of its states and its action."""
    return beliefs._replace(
        transitions=beliefs.transitions.at[state, action, next_state].add(1.0),
        reward_sum=beliefs.reward_sum.at[state, action].add(reward),
    )


def mean_model(beliefs: Beliefs) -> Model:
    """The posterior means of transitions and rewards."""
    concentration, prior = beliefs.concentration, beliefs.prior
    weighted_sum = prior.reward_precision * prior.reward_mean + beliefs.reward_sum
    return Model(
        concentration / jnp.sum(concentration, axis=-1, keepdims=True),
        weighted_sum / beliefs.reward_precision,
    )


def sample_model(key: Key, beliefs: Beliefs) -> Model:
    """Draws an MDP from the posterior."""
    transition_key, reward_key = jax.random.split(key)
    noise = jax.random.normal(reward_key, beliefs.reward_sum.shape)
    return Model(
        dirichlet(transition_key, beliefs.concentration),
        mean_model(beliefs).reward + noise / jnp.sqrt(beliefs.reward_precision),
    )
