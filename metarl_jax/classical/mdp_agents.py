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

Setting = float | Array  # may be traced

# (key, beliefs, horizon, setting) -> action values of the coming episode, [T, S, A]
Plan = Callable[[Key, Beliefs, int, Setting], Array]

_TIE = 1e-5  # how far equal action values may be apart by rounding


class PlanningMemory(NamedTuple):
    beliefs: Beliefs
    values: Array  # [T, S, A]; action values of this episode's plan
    time: Array  # []; steps of this episode so far


class MdpAgent(NamedTuple):
    """A kind of agent, the settings to choose among, and the prior that was published.

    The published prior is that of the agent in the public code of Osband and Van Roy
    (https://github.com/iosband/TabulaRL), under which returns come close to those that
    Duan et al. (2016) published. It is not the distribution of their tasks; that is
    `Prior()`.
    """

    plan: Plan
    settings: tuple[float, ...] = (0.0,)  # a single one where nothing is tuned
    published_prior: Prior = Prior()
    # setting -> probability of a uniformly random action instead of the planned one
    epsilon: Callable[[Setting], Setting] = lambda setting: 0.0

    def make(
        self,
        num_states: int,
        num_actions: int,
        horizon: int,
        prior: Prior,
        setting: Setting,
    ) -> Agent:
        """An agent that makes a new plan for each episode, and acts by its values.

        Args:
          num_states: S.
          num_actions: A.
          horizon: T.
          prior: what is believed before the first step.
          setting: what it means depends on the kind.
        """

        def begin_episode(key: Key, memory: PlanningMemory) -> PlanningMemory:
            values = self.plan(key, memory.beliefs, horizon, setting)
            return PlanningMemory(memory.beliefs, values, jnp.zeros_like(memory.time))

        def act(key: Key, memory: PlanningMemory, observation: Array) -> Array:
            greedy_key, random_key, choice_key = jax.random.split(key, 3)
            values = memory.values[memory.time, jnp.argmax(observation)]
            greedy = _random_argmax(greedy_key, values)
            random = jax.random.randint(random_key, (), 0, num_actions)
            explores = jax.random.bernoulli(choice_key, self.epsilon(setting))
            return jnp.where(explores, random, greedy)

        memory = PlanningMemory(
            no_experience(num_states, num_actions, prior),
            jnp.zeros((horizon, num_states, num_actions)),
            jnp.zeros((), jnp.int32),
        )
        return Agent(memory, act, _learn, begin_episode)


def _learn(key: Key, memory: PlanningMemory, experience: Experience) -> PlanningMemory:
    beliefs = observe(
        memory.beliefs,
        jnp.argmax(experience.observation),
        experience.action,
        experience.reward,
        jnp.argmax(experience.next_observation),
    )
    return memory._replace(beliefs=beliefs, time=memory.time + 1)


def _no_plan(key: Key, beliefs: Beliefs, horizon: int, setting: Setting) -> Array:
    """All actions are worth the same."""
    return jnp.zeros((horizon, *beliefs.reward_sum.shape))


def _by_the_mean(key: Key, beliefs: Beliefs, horizon: int, setting: Setting) -> Array:
    """As if the posterior mean were the truth."""
    return certainty_equivalent(beliefs, horizon)


_ZERO_MEAN = Prior(reward_mean=0.0)
_WEAK = Prior(concentration=1e-4, reward_mean=0.0, reward_precision=1e-4)

MDP_AGENTS = {
    "random": MdpAgent(_no_plan),
    "greedy": MdpAgent(_by_the_mean, published_prior=_WEAK),
    "epsilon_greedy": MdpAgent(
        _by_the_mean,
        settings=(0.02, 0.05, 0.1, 0.2),
        published_prior=_WEAK,
        epsilon=lambda setting: setting,
    ),
    "psrl": MdpAgent(
        lambda key, beliefs, horizon, _: posterior_sample(key, beliefs, horizon),
        published_prior=_ZERO_MEAN,
    ),
    "opsrl": MdpAgent(  # the setting is the number of samples
        lambda key, beliefs, horizon, setting: optimistic_posterior_samples(
            key, beliefs, horizon, jnp.asarray(setting, jnp.int32)
        ),
        settings=(2.0, 5.0, 10.0, 20.0),
        published_prior=_ZERO_MEAN,
    ),
    "ucrl2": MdpAgent(  # how many times as wide bounds are as those of the paper
        lambda _, *situation: upper_confidence(*situation),
        settings=(0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5),
        published_prior=_WEAK,
    ),
    "beb": MdpAgent(  # beta
        lambda _, *situation: exploration_bonus(*situation),
        settings=(1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 70.0),
        published_prior=_ZERO_MEAN,
    ),
}


def _random_argmax(key: Key, values: Array) -> Array:
    tied = values >= jnp.max(values) - _TIE
    return jax.random.categorical(key, jnp.where(tied, 0.0, -jnp.inf))
