"""The classical agents of Bernoulli bandits.

All of them know the prior, Beta(1, 1) for each arm, ignore observations, and pull the
arm of the highest index, of which each has its own. Ties go to the first arm. That
matters to greedy and epsilon_greedy alone, where an arm that paid as often as not ties
with one never pulled: at random, ties would make them explore more and earn more, but
not what Duan et al. report.

References:
  Duan et al., RL^2 (2016), section 3.1, https://arxiv.org/abs/1611.02779
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from metarl_jax.classical.agent import Agent, Experience
from metarl_jax.classical.gamma_draws import beta
from metarl_jax.classical.gittins import (
    discounted_index,
    discounted_indices,
    finite_index,
    finite_indices,
)
from metarl_jax.types import Array, Key


class BanditMemory(NamedTuple):
    """What an agent knows of k arms."""

    successes: Array  # [k], integers
    failures: Array  # [k], integers
    prepared: Any = ()  # what the agent computed before the trial


class BanditAgent(NamedTuple):
    """A classical agent, and the settings among which its best one is looked for."""

    # (num_arms, num_pulls, setting) -> agent; the setting may be traced
    make: Callable[[int, int, Array], Agent]
    settings: tuple[float, ...] = (0.0,)  # one that is ignored, if nothing is tuned
    tuned: str = ""  # what the setting is; empty if nothing is tuned


# (key, memory) -> [k], how desirable each arm is
Index = Callable[[Key, BanditMemory], Array]


def index_agent(num_arms: int, index: Index, prepared: Any = ()) -> Agent:
    """Pulls the first of the arms that have the highest index.

    Args:
      num_arms: k.
      index: `(key, memory) -> [k]`.
      prepared: is in the memory; what `index` needs and is costly to compute.
    """

    def act(key: Key, memory: BanditMemory, observation: Array) -> Array:
        return jnp.argmax(index(key, memory))

    none = jnp.zeros(num_arms, jnp.int32)
    return Agent(BanditMemory(none, none, prepared), act, _count)


def random(num_arms: int, num_pulls: int, setting: Array) -> Agent:
    """Any arm, with the same probability."""
    return index_agent(num_arms, lambda key, memory: _any_order(key, num_arms))


def greedy(num_arms: int, num_pulls: int, setting: Array) -> Agent:
    """The arm that is best in expectation."""
    return index_agent(num_arms, lambda key, memory: _mean(memory))


def epsilon_greedy(num_arms: int, num_pulls: int, epsilon: Array) -> Agent:
    """Any arm with probability epsilon, else the one that is best in expectation."""

    def index(key: Key, memory: BanditMemory) -> Array:
        chance_key, order_key = jax.random.split(key)
        explores = jax.random.uniform(chance_key) < epsilon
        return jnp.where(explores, _any_order(order_key, num_arms), _mean(memory))

    return index_agent(num_arms, index)


def ucb1(num_arms: int, num_pulls: int, width: Array) -> Agent:
    """Posterior mean + width * sqrt(2 log t / n), with the prior counted in n and t.

    As in Duan et al. (2016) an arm starts with one success and one failure: n is the
    pulls of an arm plus 2, and t the sum of all n.

    References:
      Auer et al., Finite-time Analysis of the Multiarmed Bandit Problem (2002)
    """

    def index(key: Key, memory: BanditMemory) -> Array:
        counts = _pulls(memory) + 2
        bonus = jnp.sqrt(2 * jnp.log(jnp.sum(counts)) / counts)
        return _mean(memory) + width * bonus

    return index_agent(num_arms, index)


def thompson(num_arms: int, num_pulls: int, setting: Array) -> Agent:
    """The best arm of a bandit that is drawn from the posterior."""
    return index_agent(num_arms, _sample)


def optimistic_thompson(num_arms: int, num_pulls: int, setting: Array) -> Agent:
    """Thompson sampling where no arm is drawn below its posterior mean.

    References:
      May et al., Optimistic Bayesian Sampling in Contextual-Bandit Problems (2012)
    """
    index = lambda key, memory: jnp.maximum(_sample(key, memory), _mean(memory))
    return index_agent(num_arms, index)


def voting_thompson(num_arms: int, num_pulls: int, num_draws: Array) -> Agent:
    """The arm that is the best one in most of several draws from the posterior."""

    def index(key: Key, memory: BanditMemory) -> Array:
        def vote(draw: Array, votes: Array) -> Array:
            sample = _sample(jax.random.fold_in(key, draw), memory)
            return votes.at[jnp.argmax(sample)].add(1)

        votes = jnp.zeros(num_arms, jnp.int32)
        return jax.lax.fori_loop(0, jnp.int32(num_draws), vote, votes)

    return index_agent(num_arms, index)


def gittins(num_arms: int, num_pulls: int, discount: Array) -> Agent:
    """The arm of the highest Gittins index, as if rewards were discounted for ever."""

    def index(key: Key, memory: BanditMemory) -> Array:
        return discounted_index(memory.prepared, memory.successes, memory.failures)

    return index_agent(num_arms, index, discounted_indices(discount, num_pulls))


def finite_horizon_gittins(num_arms: int, num_pulls: int, setting: Array) -> Agent:
    """The arm of the highest index for the number of pulls that remain."""

    def index(key: Key, memory: BanditMemory) -> Array:
        pulls_left = num_pulls - jnp.sum(_pulls(memory))
        counts = memory.successes, memory.failures
        return finite_index(memory.prepared, *counts, pulls_left)

    return index_agent(num_arms, index, finite_indices(num_pulls))


BANDIT_AGENTS = {
    "random": BanditAgent(random),
    "greedy": BanditAgent(greedy),
    "epsilon_greedy": BanditAgent(
        epsilon_greedy, (0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15), "epsilon"
    ),
    "ucb1": BanditAgent(
        ucb1, (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.7, 1.0), "width"
    ),
    "thompson": BanditAgent(thompson),
    "optimistic_thompson": BanditAgent(optimistic_thompson),
    "voting_thompson": BanditAgent(voting_thompson, (1, 2, 5, 10, 20), "num_draws"),
    "gittins": BanditAgent(
        gittins, (0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.998), "discount"
    ),
    "finite_horizon_gittins": BanditAgent(finite_horizon_gittins),
}


def _any_order(key: Key, num_arms: int) -> Array:
    """Indices that put arms in a random order, [k]."""
    return jax.random.uniform(key, (num_arms,))


def _mean(memory: BanditMemory) -> Array:
    """Of the posterior of each arm, [k]."""
    return (memory.successes + 1) / (_pulls(memory) + 2)


def _sample(key: Key, memory: BanditMemory) -> Array:
    """Of the posterior of each arm, [k]."""
    return beta(key, memory.successes + 1.0, memory.failures + 1.0)


def _pulls(memory: BanditMemory) -> Array:
    return memory.successes + memory.failures


def _count(key: Key, memory: BanditMemory, experience: Experience) -> BanditMemory:
    """The memory after a reward of 1 or 0."""
    success = experience.reward.astype(jnp.int32)
    arm = experience.action
    return memory._replace(
        successes=memory.successes.at[arm].add(success),
        failures=memory.failures.at[arm].add(1 - success),
    )
