"""Adaptation by belief: act as if a sampled task were the true one, and learn."""

import math
from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from metarl_jax.beliefs import Belief
from metarl_jax.context_encoder import ContextEncoder
from metarl_jax.distributions import MostLikely
from metarl_jax.rollouts import collect
from metarl_jax.types import (
    Adaptation,
    Array,
    Environment,
    Key,
    Memory,
    Params,
    Policy,
    Rollout,
    Task,
)

ContextInput = Literal["observation", "action", "reward", "next_observation"]
EmbeddingChoice = Literal["sampled", "mean"]

# (key, belief) -> the embedding that one row of a rollout is acted by
EMBEDDINGS: dict[EmbeddingChoice, Callable[[Key, Belief], Array]] = {
    "sampled": lambda key, belief: belief.sample(key),
    "mean": lambda key, belief: belief.mean,
}


class PosteriorState(NamedTuple):
    """What an agent knows of its task."""

    params: Params  # of the policy, with the mean of the belief for an embedding
    belief: Belief
    encoder: Params


def posterior_adaptation(
    encoder: ContextEncoder, context: Callable[[Rollout], Array]
) -> Adaptation:
    """Updates a belief with each rollout; no parameter changes.

    It starts from parameters that have the fields `policy` and `encoder`.

    Args:
      encoder: from transitions to beliefs.
      context: `rollout [T, E] -> [T * E, D]`, what the encoder reads of it.

    Returns:
      The corresponding `Adaptation`, with a `PosteriorState`.
    """

    def knowing(policy_params: Params, belief: Belief, encoder_params: Params):
        params = {"shared": policy_params, "context": belief.mean}
        return PosteriorState(params, belief, encoder_params)

    def init(params: Params) -> PosteriorState:
        return knowing(params.policy, encoder.prior, params.encoder)

    def update(state: PosteriorState, rollout: Rollout) -> PosteriorState:
        belief = encoder.update(state.encoder, state.belief, context(rollout))
        return knowing(state.params["shared"], belief, state.encoder)

    return Adaptation(init, update)


def collect_by_posterior(
    env: Environment,
    adaptation: Adaptation,
    num_steps: int,
    num_episodes: int,
    policy: Policy,
    embedding: Callable[[Key, Belief], Array],
) -> Callable[[Key, Params, Task], Rollout]:
    """A trial of K updates of the belief: `(key, params, task) -> Rollout [K+1, T, E]`.

    Each of the E rows of a stage is acted by an embedding of its own, drawn from what
    was believed before the stage.

    Args:
      env: the environment.
      adaptation: `posterior_adaptation`.
      num_steps: K.
      num_episodes: E.
      policy: of parameters `{"shared": params, "context": embedding}`.
      embedding: one of `EMBEDDINGS`.
    """

    def row(state: PosteriorState, task: Task, key: Key) -> Rollout:
        embedding_key, act_key = jax.random.split(key)
        params = state.params | {"context": embedding(embedding_key, state.belief)}
        rollout = collect(act_key, env, policy, params, task, num_episodes=1)
        return jax.tree.map(lambda leaf: leaf[:, 0], rollout)

    def adapt(key: Key, params: Params, task: Task) -> Rollout:
        def stage(state: PosteriorState, key: Key) -> tuple[PosteriorState, Rollout]:
            keys = jax.random.split(key, num_episodes)
            rollout = jax.vmap(partial(row, state, task), out_axes=1)(keys)
            return adaptation.update(state, rollout), rollout

        keys = jax.random.split(key, num_steps + 1)
        return jax.lax.scan(stage, adaptation.init(params), keys)[1]

    return adapt


def beliefs_when_acting(
    adaptation: Adaptation,
) -> Callable[[Params, Rollout], Belief]:
    """`(params, trial [K+1, T, E]) -> Belief`, leaves [K+1, T, E, Z].

    The belief is the same at all steps of a stage: what the stages before it taught.
    """

    def beliefs(params: Params, trial: Rollout) -> Belief:
        def stage(state: PosteriorState, rollout: Rollout):
            return adaptation.update(state, rollout), state.belief

        by_stage = jax.lax.scan(stage, adaptation.init(params), trial)[1]
        to_steps = lambda leaf: jnp.broadcast_to(
            leaf[:, None, None], (*trial.reward.shape, leaf.shape[-1])
        )
        return jax.tree.map(to_steps, by_stage)

    return beliefs


def greedy(policy: Policy) -> Policy:
    """The policy that always takes the most likely action."""

    def apply(params: Params, observation: Array, memory: Memory):
        distribution, memory = policy.apply(params, observation, memory)
        return MostLikely(distribution), memory

    return policy._replace(apply=apply)


def context_vectors(
    rollout: Rollout, inputs: tuple[ContextInput, ...], reward: str
) -> Array:
    """What an encoder reads of each transition of a rollout or trial [..., T, E].

    Args:
      rollout: the experience.
      inputs: which parts of a transition.
      reward: which reward, as for `named_reward`.

    Returns:
      [M, D], M being all transitions.
    """
    rollout = rollout._replace(reward=named_reward(rollout, reward))
    parts = [getattr(rollout, name) for name in inputs]
    flat = [part.reshape(rollout.reward.size, -1).astype(float) for part in parts]
    return jnp.concatenate(flat, axis=-1)


def num_context_inputs(env: Environment, inputs: tuple[ContextInput, ...]) -> int:
    """The length D of such vectors."""
    observation_size = math.prod(env.observation_space.shape)
    sizes = {
        "observation": observation_size,
        "action": math.prod(env.action_space.shape),
        "reward": 1,
        "next_observation": observation_size,
    }
    return sum(sizes[name] for name in inputs)


def named_reward(rollout: Rollout, name: str) -> Array:
    """The reward, or another one of this name that the environment reports.

    Integers that it reports, such as the number of the task, are no rewards.

    Raises:
      ValueError: if there is none of this name.
    """
    is_real = lambda values: jnp.issubdtype(values.dtype, jnp.floating)
    rewards = {k: v for k, v in rollout.metrics.items() if is_real(v)}
    rewards |= {"reward": rollout.reward}
    if name not in rewards:
        choices = ", ".join(sorted(rewards))
        raise ValueError(f"no reward '{name}' in this environment; it has: {choices}")
    return rewards[name]
