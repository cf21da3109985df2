"""Agents for finite MDPs of which states and actions are known, and nothing else.

They plan when an episode begins and follow this plan until it ends. Observations are
one-hot; ties among actions are broken at random.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from metarl_jax.classical.agent import Agent, Experience
from metarl_jax.classical.mdp_model import Beliefs, Prior, no_experience, observe
from metarl_jax.classical.mdp_planning import (
    certainty_equivalent,
    exploration_bonus,
    optimistic_posterior_samples,
    posterior_sample,
    upper_confidence,
)
from metarl_jax.types import Array, Key

# (key, beliefs) -> action values of the episode that begins [T, S, A]
Plan = Callable[[Key, Beliefs], Array]

_TIE = 1e-5  # how far equal action values may be apart by rounding


class MdpAgent(NamedTuple):
    """A kind of agent, the settings to choose among, and the prior that was published.

    The published prior is that of the agent in the public code of Osband and Van Roy
    (https://github.com/iosband/TabulaRL), under which returns come close to those that
    Duan et al. (2016) published. It is not the distribution of their tasks; that is
    `Prior()`.
    """

    # (num_states, num_actions, horizon, prior, setting) -> agent; `setting` may be
    # traced
    make: Callable[[int, int, int, Prior, float | Array], Agent]
    settings: tuple[float, ...] = (0.0,)  # a single one where nothing is tuned
    published_prior: Prior = Prior()


class PlanningMemory(NamedTuple):
    beliefs: Beliefs
    values: Array  # [T, S, A]; action values of this episode's plan
    time: Array  # []; steps of this episode so far


def planning_agent(
    num_states: int,
    num_actions: int,
    horizon: int,
    prior: Prior,
    plan: Plan,
    epsilon: float | Array = 0.0,
) -> Agent:
    """Acts by the action values of a plan that is made anew for each episode.

    Args:
      num_states: S.
      num_actions: A.
      horizon: T.
      prior: what is believed before the first step.
      plan: from beliefs to action values.
      epsilon: probability of a uniformly random action instead.
    """

    def begin_episode(key: Key, memory: PlanningMemory) -> PlanningMemory:
        values = plan(key, memory.beliefs)
        return PlanningMemory(memory.beliefs, values, jnp.zeros_like(memory.time))

    def act(key: Key, memory: PlanningMemory, observation: Array) -> Array:
        greedy_key, random_key, choice_key = jax.random.split(key, 3)
        values = memory.values[memory.time, jnp.argmax(observation)]
        greedy = _random_argmax(greedy_key, values)
        random = jax.random.randint(random_key, (), 0, num_actions)
        return jnp.where(jax.random.bernoulli(choice_key, epsilon), random, greedy)

    def learn(
        key: Key, memory: PlanningMemory, experience: Experience
    ) -> PlanningMemory:
        beliefs = observe(
            memory.beliefs,
            jnp.argmax(experience.observation),
            experience.action,
            experience.reward,
            jnp.argmax(experience.next_observation),
        )
        return PlanningMemory(beliefs, memory.values, memory.time + 1)

    memory = PlanningMemory(
        no_experience(num_states, num_actions, prior),
        jnp.zeros((horizon, num_states, num_actions)),
        jnp.zeros((), jnp.int32),
    )
    return Agent(memory, act, learn, begin_episode)


def random(
    num_states: int,
    num_actions: int,
    horizon: int,
    prior: Prior,
    setting: float | Array,
) -> Agent:
    """Acts uniformly; `prior` and `setting` do nothing."""
    return Agent(
        initial_memory=(),
        act=lambda key, *_: jax.random.randint(key, (), 0, num_actions),
        learn=lambda key, memory, experience: memory,
    )


def greedy(
    num_states: int,
    num_actions: int,
    horizon: int,
    prior: Prior,
    setting: float | Array,
) -> Agent:
    """Acts as if the posterior mean were the truth; `setting` does nothing."""
    return epsilon_greedy(num_states, num_actions, horizon, prior, 0.0)


def epsilon_greedy(
    num_states: int,
    num_actions: int,
    horizon: int,
    prior: Prior,
    setting: float | Array,
) -> Agent:
    """Greedy but for a random action with probability `setting`, epsilon."""
    plan = lambda key, beliefs: certainty_equivalent(beliefs, horizon)
    return planning_agent(
        num_states, num_actions, horizon, prior, plan, epsilon=setting
    )


def psrl(
    num_states: int,
    num_actions: int,
    horizon: int,
    prior: Prior,
    setting: float | Array,
) -> Agent:
    """Posterior sampling; `setting` does nothing."""
    plan = lambda key, beliefs: posterior_sample(key, beliefs, horizon)
    return planning_agent(num_states, num_actions, horizon, prior, plan)


def opsrl(
    num_states: int,
    num_actions: int,
    horizon: int,
    prior: Prior,
    setting: float | Array,
) -> Agent:
    """Optimistic posterior sampling with `setting` samples, 1 or more."""

    def plan(key: Key, beliefs: Beliefs) -> Array:
        num_samples = jnp.asarray(setting, jnp.int32)
        return optimistic_posterior_samples(key, beliefs, horizon, num_samples)

    return planning_agent(num_states, num_actions, horizon, prior, plan)


def ucrl2(
    num_states: int,
    num_actions: int,
    horizon: int,
    prior: Prior,
    setting: float | Array,
) -> Agent:
    """Upper confidence bounds, `setting` times as wide as those of the paper."""
    plan = lambda key, beliefs: upper_confidence(beliefs, horizon, setting)
    return planning_agent(num_states, num_actions, horizon, prior, plan)


def beb(
    num_states: int,
    num_actions: int,
    horizon: int,
    prior: Prior,
    setting: float | Array,
) -> Agent:
    """Bayesian exploration bonus of size beta = `setting`."""
    plan = lambda key, beliefs: exploration_bonus(beliefs, horizon, setting)
    return planning_agent(num_states, num_actions, horizon, prior, plan)


_ZERO_MEAN = Prior(reward_mean=0.0)
_WEAK = Prior(concentration=1e-4, reward_mean=0.0, reward_precision=1e-4)

MDP_AGENTS = {
    "random": MdpAgent(random),
    "greedy": MdpAgent(greedy, published_prior=_WEAK),
    "epsilon_greedy": MdpAgent(epsilon_greedy, (0.02, 0.05, 0.1, 0.2), _WEAK),
    "psrl": MdpAgent(psrl, published_prior=_ZERO_MEAN),
    "opsrl": MdpAgent(opsrl, (2.0, 5.0, 10.0, 20.0), _ZERO_MEAN),
    "ucrl2": MdpAgent(ucrl2, (0.01, 0.02, 0.05, 0.1, 0.2, 0.5), _WEAK),
    "beb": MdpAgent(beb, (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0), _ZERO_MEAN),
}


def _random_argmax(key: Key, values: Array) -> Array:
    tied = values >= jnp.max(values) - _TIE
    return jax.random.categorical(key, jnp.where(tied, 0.0, -jnp.inf))
