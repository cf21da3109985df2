"""Policies and value functions of hyper-states: an observation and a belief."""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from gymnax.environments import spaces

from metarl_jax.beliefs import Belief, standard_belief
from metarl_jax.memory_policies import TrialNetworks
from metarl_jax.networks import NetworkConfig, at_each, mlp_policy, mlp_value
from metarl_jax.recollections import Recollection, as_input, blank, remember
from metarl_jax.trial_autoencoder import TrialAutoencoder
from metarl_jax.types import Array, Environment, Key, Params, Policy, Rollout


class BeliefParams(NamedTuple):
    """Parameters of an agent that infers its task."""

    autoencoder: Params
    policy: Params  # `action`, and `value` where it is learned with it


class BeliefMemory(NamedTuple):
    """What an agent that infers its task carries from step to step."""

    recollection: Recollection
    belief: Belief  # at the last step


def hyper_state_size(env: Environment, embedding_size: int) -> int:
    """H = O + 2 Z + 1."""
    return math.prod(env.observation_space.shape) + 2 * embedding_size + 1


def hyper_state(observation: Array, belief: Belief, elapsed: Array) -> Array:
    """What is known when acting, as a vector [O + 2 Z + 1].

    Args:
      observation: [O].
      belief: its leaves [Z].
      elapsed: the fraction of the trial that is over, [].
    """
    vectors = observation, belief.mean, jnp.log(belief.variance), elapsed[None]
    return jnp.concatenate(vectors)


def timeless_size(env: Environment, embedding_size: int) -> int:
    """H - 1, of what `without_time` leaves."""
    return hyper_state_size(env, embedding_size) - 1


def without_time(states: Array) -> Array:
    """Hyper-states [..., H], but for the fraction of the trial: [..., H - 1].

    The same observation and belief at another time are nothing new.
    """
    return states[..., :-1]


def with_hyper_states(trial: Rollout, beliefs: Belief) -> Rollout:
    """A trial [K+1, T, E] whose observations are hyper-states, [K+1, T, E, H].

    Args:
      trial: [K+1, T, E].
      beliefs: at each step, leaves [K+1, T, E, Z].
    """
    num_stages, num_steps, _ = shape = trial.reward.shape
    length = num_stages * num_steps
    elapsed = jnp.arange(length).reshape(num_stages, num_steps, 1) / length
    elapsed = jnp.broadcast_to(elapsed, shape)
    observation = trial.observation.reshape(*shape, -1).astype(float)
    join = jax.vmap(jax.vmap(jax.vmap(hyper_state)))
    return trial._replace(observation=join(observation, beliefs, elapsed))


def hyper_state_networks(
    env: Environment, config: NetworkConfig, embedding_size: int
) -> TrialNetworks:
    """A policy and a value function of trials whose observations are hyper-states.

    They see the belief as data: no gradient of theirs reaches what infers it, as in
    the paper. The fraction of the trial that is over is an input of our own: what is
    still worth exploring depends on what is left.

    Args:
      env: the environment.
      config: of both networks.
      embedding_size: Z.

    Returns:
      `TrialNetworks` with parameters `action` and `value`.

    References:
      Zintgraf et al., VariBAD: A Very Good Method for Bayes-Adaptive Deep RL via
      Meta-Learning (2020), section 3, https://arxiv.org/abs/1910.08348
    """
    size = hyper_state_size(env, embedding_size)
    space = spaces.Box(-jnp.inf, jnp.inf, (size,))
    head = mlp_policy(space, env.action_space, config)
    init_value, value = mlp_value(space, config)
    return TrialNetworks(
        policy=head._replace(
            init=lambda key: {"action": head.init(key)},
            apply=lambda params, *inputs: head.apply(params["action"], *inputs),
        ),
        init_value=lambda key: {"value": init_value(key)},
        features=lambda params, trial: trial.observation,
        action=lambda params, states: at_each(
            lambda state: head.apply(params["action"], state, ())[0], states
        ),
        value=lambda params, states: at_each(partial(value, params["value"]), states),
    )


def belief_policy(
    env: Environment,
    autoencoder: TrialAutoencoder,
    networks: TrialNetworks,
    embedding_size: int,
    length: int,
) -> Policy:
    """Infers the task from what its actions lead to, and acts on the belief.

    Args:
      env: the environment.
      autoencoder: whose encoder infers.
      networks: of hyper-states.
      embedding_size: Z.
      length: steps of a trial.

    Returns:
      A `Policy` with parameters `BeliefParams`.
    """

    def init(key: Key) -> BeliefParams:
        autoencoder_key, policy_key = jax.random.split(key)
        return BeliefParams(
            autoencoder.init(autoencoder_key), networks.policy.init(policy_key)
        )

    def act(params: BeliefParams, observation: Array, memory: BeliefMemory):
        known = memory.recollection
        vector = observation.reshape(-1).astype(float)
        belief, sequence = autoencoder.step(
            params.autoencoder,
            as_input(observation, known, length),
            known.elapsed == 0,
            known.sequence,
        )
        state = hyper_state(vector, belief, known.elapsed / length)
        distribution, _ = networks.policy.apply(params.policy, state, ())
        known = known._replace(observation=vector, sequence=sequence)
        return distribution, BeliefMemory(known, belief)

    def learn(memory: BeliefMemory, action: Array, reward: Array, ended: Array):
        known = remember(env.action_space, memory.recollection, action, reward, ended)
        return memory._replace(recollection=known)

    start = BeliefMemory(
        blank(env, autoencoder.initial_memory), standard_belief(embedding_size)
    )
    return Policy(init, act, start, learn)
