"""A belief for each step of a trial, learned by predicting the whole trial from it."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from metarl_jax.beliefs import Belief, standard_belief
from metarl_jax.checks import require_positive
from metarl_jax.lives import Life, by_life, by_step, lives
from metarl_jax.networks import LINEAR, NetworkConfig, mlp
from metarl_jax.recollections import action_vector, num_inputs
from metarl_jax.sequence_models import (
    GruConfig,
    SequenceConfig,
    embedded,
    sequence_model,
)
from metarl_jax.trial_decoder import DecoderConfig, trial_decoder
from metarl_jax.types import (
    Array,
    Environment,
    Key,
    Memory,
    Metrics,
    Params,
    Rollout,
)

_SMALLEST_VARIANCE = 1e-4


@dataclasses.dataclass(frozen=True)
class AutoencoderConfig:
    """Networks and objective of a trial autoencoder."""

    embedding_size: int = 5  # Z
    input_sizes: tuple[int, ...] = (64,)  # of layers between input and memory
    memory: SequenceConfig = GruConfig()  # of the encoder
    decoder: DecoderConfig = DecoderConfig()
    kl_weight: float = 1.0

    def __post_init__(self):
        require_positive(self, "embedding_size", "kl_weight")


class TrialAutoencoder(NamedTuple):
    """An encoder of experience into beliefs, and a decoder of embeddings."""

    init: Callable[[Key], Params]  # parameters `encoder` and `decoder`
    initial_memory: Memory
    # (params, inputs [D], is_first [], memory) -> (Belief [Z], memory)
    step: Callable[[Params, Array, Array, Memory], tuple[Belief, Memory]]
    # (params, life) -> Belief, leaves [L, Z]: at each step, before its transition
    beliefs: Callable[[Params, Life], Belief]
    # (params, embedding [Z], observation, action, next_observation) -> expected reward
    reward: Callable[[Params, Array, Array, Array, Array], Array]
    # (params, embeddings [S, Z], life) -> [S, L]: minus the log-likelihood of each
    # step, but for a constant
    errors: Callable[[Params, Array, Life], Array]
    # (key, params, life) -> (minus the mean ELBO, its parts)
    loss: Callable[[Key, Params, Life], tuple[Array, Metrics]]


def trial_autoencoder(
    env: Environment, config: AutoencoderConfig, length: int
) -> TrialAutoencoder:
    """The variational autoencoder of VariBAD.

    The belief before step t comes from a sequence model that has read the transitions
    up to there; before the first one it is the standard normal prior. Of a transition
    it reads observation, action and reward, and that which is observed when the next
    one is acted: after the last step of a row the observation of a new start, so
    that what this step led to is not seen. After the last transition of a trial there
    is no belief, and no ELBO term, any more. An embedding
    drawn from it has to predict the rewards of the whole life, past and future, but for
    the steps after the end of an episode that ended early. With
    q_t the belief at step t, tau the life and m an embedding, the objective is the mean
    over steps of

        ELBO_t = E_{m ~ q_t}[log p(tau | m)] - kl_weight * KL(q_t || q_{t-1}),

    q_{-1} being the prior, and the expectation estimated by one sample.

    Args:
      env: the environment.
      config: networks and objective.
      length: steps of a life, L.

    Returns:
      The corresponding `TrialAutoencoder`.

    References:
      Zintgraf et al., VariBAD: A Very Good Method for Bayes-Adaptive Deep RL via
      Meta-Learning (2020), section 3, https://arxiv.org/abs/1910.08348
    """
    init_encoder, initial_memory, step, unroll = _encoder(env, config, length)
    decoder = trial_decoder(env, config.decoder, config.embedding_size)

    def init(key: Key) -> Params:
        encoder_key, decoder_key = jax.random.split(key)
        return {
            "encoder": init_encoder(encoder_key),
            "decoder": decoder.init(decoder_key),
        }

    def loss(key: Key, params: Params, life: Life) -> tuple[Array, Metrics]:
        beliefs = unroll(params["encoder"], life.inputs)
        errors = decoder.errors(params["decoder"], beliefs.sample(key), life)
        reconstruction = jnp.mean(errors @ life.counts)
        belief_change = jnp.mean(beliefs.kl(_previous(beliefs)))
        metrics = {"reconstruction": reconstruction, "belief_change": belief_change}
        return reconstruction + config.kl_weight * belief_change, metrics

    def reward(
        params: Params,
        embedding: Array,
        observation: Array,
        action: Array,
        next_observation: Array,
    ) -> Array:
        row = lambda array: array.reshape(1, -1).astype(float)
        life = Life(
            inputs=(),
            observation=row(observation),
            action=row(action_vector(env.action_space, action)),
            reward=(),
            next_observation=row(next_observation),
            counts=(),
        )
        return decoder.rewards(params["decoder"], embedding[None], life)[0, 0]

    return TrialAutoencoder(
        init=init,
        initial_memory=initial_memory,
        step=lambda params, *inputs: step(params["encoder"], *inputs),
        beliefs=lambda params, life: unroll(params["encoder"], life.inputs),
        reward=reward,
        errors=lambda params, *inputs: decoder.errors(params["decoder"], *inputs),
        loss=loss,
    )


def trial_beliefs(
    env: Environment, autoencoder: TrialAutoencoder, params: Params, trial: Rollout
) -> Belief:
    """Beliefs at the steps of a trial [K+1, T, E]: leaves [K+1, T, E, Z]."""
    beliefs = jax.vmap(partial(autoencoder.beliefs, params))(lives(env, trial))
    return jax.tree.map(lambda leaf: by_step(leaf, len(trial.reward)), beliefs)


def trial_surprise(
    env: Environment,
    autoencoder: TrialAutoencoder,
    params: Params,
    entry: tuple[Key, Rollout, Belief],
) -> Array:
    """How badly each step is decoded from a belief that knows it already.

    Args:
      env: the environment.
      autoencoder: whose decoder is asked.
      params: of the autoencoder.
      entry: a key, a trial [K+1, T, E], and the beliefs at its steps; the embedding of
        each step is drawn from the belief at the next one, and for the last step from
        the belief at that, which does not know it.

    Returns:
      Minus the log-likelihood of each step, [K+1, T, E]; 0 for steps after the end of
      an episode.
    """
    key, trial, beliefs = entry
    embeddings = by_life(beliefs.sample(key))
    after = jnp.concatenate([embeddings[:, 1:], embeddings[:, -1:]], axis=1)

    def error(embedding: Array, step: Life) -> Array:
        alone = jax.tree.map(lambda leaf: leaf[None], step)
        return autoencoder.errors(params, embedding[None], alone)[0, 0]

    steps = lives(env, trial)
    errors = steps.counts * jax.vmap(jax.vmap(error))(after, steps)
    return by_step(errors, len(trial.reward))


def _encoder(env: Environment, config: AutoencoderConfig, length: int):
    """`(init, initial_memory, step, unroll)`."""
    layers = NetworkConfig(config.input_sizes, activation="relu")
    make_model = lambda size: sequence_model(config.memory, size, length)
    model = embedded(num_inputs(env), layers, make_model)
    init_head, head = mlp(model.num_features, 2 * config.embedding_size, LINEAR)

    def init(key: Key) -> Params:
        memory_key, head_key = jax.random.split(key)
        return {"memory": model.init(memory_key), "head": init_head(head_key)}

    def belief(params: Params, features: Array, is_first: Array) -> Belief:
        mean, raw = jnp.split(head(params["head"], features), 2)
        read = Belief(mean, jax.nn.softplus(raw) + _SMALLEST_VARIANCE)
        prior = standard_belief(config.embedding_size)
        return jax.tree.map(partial(jnp.where, is_first), prior, read)

    def step(params: Params, inputs: Array, is_first: Array, memory: Memory):
        features, memory = model.step(params["memory"], inputs, memory)
        return belief(params, features, is_first), memory

    def unroll(params: Params, inputs: Array) -> Belief:
        features, _ = model.unroll(params["memory"], inputs, model.initial_memory)
        is_first = jnp.arange(length) == 0
        return jax.vmap(partial(belief, params))(features, is_first)

    return init, model.initial_memory, step, unroll


def _previous(beliefs: Belief) -> Belief:
    """The belief before each of [L, Z]; the prior before the first."""
    prior = standard_belief(beliefs.mean.shape[-1])
    shift = lambda first, leaf: jnp.concatenate([first[None], leaf[:-1]])
    return jax.tree.map(shift, prior, beliefs)
