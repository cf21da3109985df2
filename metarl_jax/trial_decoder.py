"""What is expected to happen in a task, of which an embedding is all that is known."""

import dataclasses
import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from metarl_jax.checks import require, require_choices, require_positive
from metarl_jax.lives import Life
from metarl_jax.networks import NetworkConfig, mlp
from metarl_jax.recollections import action_size
from metarl_jax.reward_likelihoods import RewardLikelihood, SquaredError, TwoValued
from metarl_jax.types import Array, Environment, Key, Params

RewardSource = Literal["next_observation", "one_observation", "transition"]


@dataclasses.dataclass(frozen=True)
class DecoderConfig:
    """What is predicted, from what, and by which networks."""

    hidden_sizes: tuple[int, ...] = (64, 64)
    num_features: int = 32  # F; of embeddings and of transitions
    likelihood: RewardLikelihood = SquaredError()
    # what a reward is predicted from, beside the embedding; one_observation: the next
    # one, where it is known that just one of all observations pays the higher reward
    reward_of: RewardSource = "transition"
    # True: next observations are predicted, too
    predict_transitions: bool = False

    def __post_init__(self):
        require_positive(self, "num_features")
        require_choices("reward_of", (self.reward_of,), RewardSource)
        require(
            self.reward_of != "one_observation"
            or isinstance(self.likelihood, TwoValued),
            'reward_of "one_observation" is for rewards of two values: set likelihood '
            "to TwoValued",
        )


class TrialDecoder(NamedTuple):
    """Predicts the transitions of a life from embeddings."""

    init: Callable[[Key], Params]
    # (params, embeddings [S, Z], life) -> expected rewards [S, L]
    rewards: Callable[[Params, Array, Life], Array]
    # (params, embeddings [S, Z], life) -> [S, L]: minus the log-likelihood of each
    # step, but for a constant
    errors: Callable[[Params, Array, Life], Array]


def trial_decoder(
    env: Environment, config: DecoderConfig, embedding_size: int
) -> TrialDecoder:
    """A decoder whose output is a product of features.

    Those of the embedding times those of the transition, summed. Each network thus runs
    once for an embedding or a transition rather than for each pair. With features that
    tell states from each other this is a head for each state, as in the paper's grid.

    Args:
      env: the environment; with `all_observations() -> [C, ...]`, complete and each
        once, for a reward of one of them.
      config: networks and likelihood.
      embedding_size: Z.

    Returns:
      The corresponding `TrialDecoder`.

    Raises:
      ValueError: if a reward is of one of all observations, and the environment does
        not list them.

    References:
      Zintgraf et al., VariBAD: A Very Good Method for Bayes-Adaptive Deep RL via
      Meta-Learning (2020), section 3 and appendix, https://arxiv.org/abs/1910.08348
    """
    init_reward, reward_outputs = _rewards(env, config, embedding_size)
    init_change, change_errors = _changes(env, config, embedding_size)
    likelihood = config.likelihood

    def init(key: Key) -> Params:
        reward_key, change_key = jax.random.split(key)
        params = {"reward": init_reward(reward_key)}
        if config.predict_transitions:
            params["change"] = init_change(change_key)
        return params

    def rewards(params: Params, embeddings: Array, life: Life) -> Array:
        return likelihood.mean(reward_outputs(params["reward"], embeddings, life))

    def errors(params: Params, embeddings: Array, life: Life) -> Array:
        outputs = reward_outputs(params["reward"], embeddings, life)
        error = likelihood.error(outputs, life.reward)
        if config.predict_transitions:
            error += change_errors(params["change"], embeddings, life)
        return error

    return TrialDecoder(init, rewards, errors)


def _rewards(env: Environment, config: DecoderConfig, embedding_size: int):
    """`(init, apply)`; `apply(params, embeddings [S, Z], life) -> outputs [S, L]`."""
    is_whole = config.reward_of == "transition"
    before_size, after_size = _sizes(env)
    size = after_size + is_whole * before_size
    init, product = _product(embedding_size, size, 1, config)

    def output(params: Params, embeddings: Array, life: Life) -> Array:
        before = (life.observation, life.action) if is_whole else ()
        inputs = jnp.concatenate([*before, life.next_observation], axis=-1)
        return product(params, embeddings, inputs)[..., 0]

    if config.reward_of != "one_observation":
        return init, output
    observations = _all_observations(env)

    def log_odds(params: Params, embeddings: Array, life: Life) -> Array:
        of_all = _log_odds(product(params, embeddings, observations)[..., 0])
        met = jnp.all(life.next_observation[:, None] == observations, axis=-1)
        return jnp.matmul(of_all, met.T.astype(float), precision="highest")

    return init, log_odds


def _changes(env: Environment, config: DecoderConfig, embedding_size: int):
    """`(init, errors)`; `errors(params, embeddings [S, Z], life) -> [S, L]`."""
    before_size, after_size = _sizes(env)
    init, product = _product(embedding_size, before_size, after_size, config)

    def errors(params: Params, embeddings: Array, life: Life) -> Array:
        inputs = jnp.concatenate([life.observation, life.action], axis=-1)
        expected = product(params, embeddings, inputs)
        actual = life.next_observation - life.observation
        return jnp.sum((expected - actual) ** 2, axis=-1)

    return init, errors


def _sizes(env: Environment) -> tuple[int, int]:
    """Of an observation with an action, and of an observation."""
    observation_size = math.prod(env.observation_space.shape)
    return observation_size + action_size(env.action_space), observation_size


def _all_observations(env: Environment) -> Array:
    """What can be observed, [C, O]."""
    require(
        hasattr(env, "all_observations"),
        'reward_of "one_observation" is for environments that list all their '
        "observations, as grid_navi does; choose next_observation or transition",
    )
    return env.all_observations().reshape(-1, math.prod(env.observation_space.shape))


def _log_odds(outputs: Array) -> Array:
    """Of each against all others by the softmax of `outputs` [..., C]."""
    is_largest = jax.nn.one_hot(jnp.argmax(outputs, axis=-1), outputs.shape[-1]) > 0
    total = jax.nn.logsumexp(outputs, axis=-1, keepdims=True)
    without = jnp.where(is_largest, -jnp.inf, outputs)
    without_largest = jax.nn.logsumexp(without, axis=-1, keepdims=True)
    share = jnp.where(is_largest, 0.0, jnp.exp(outputs - total))  # at most a half
    others = jnp.where(is_largest, without_largest, total + jnp.log1p(-share))
    return outputs - others


def _product(left_size: int, right_size: int, num_outputs: int, config: DecoderConfig):
    """`(init, apply)`; `apply(params, lefts [S, *], rights [L, *]) -> [S, L, O]`."""
    layers = NetworkConfig(config.hidden_sizes, activation="relu")
    num_features = config.num_features
    init_left, left = mlp(left_size, num_outputs * num_features, layers)
    init_right, right = mlp(right_size, num_features, layers)

    def init(key: Key) -> Params:
        left_key, right_key = jax.random.split(key)
        return {"left": init_left(left_key), "right": init_right(right_key)}

    def apply(params: Params, lefts: Array, rights: Array) -> Array:
        heads = jax.vmap(lambda each: left(params["left"], each))(lefts)
        heads = heads.reshape(-1, num_outputs, num_features)
        features = jax.vmap(lambda each: right(params["right"], each))(rights)
        return jnp.einsum("sof,lf->slo", heads, features) / math.sqrt(num_features)

    return init, apply
