"""A belief for each step of a trial, learned by predicting the whole trial from it."""

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from metarl_jax.beliefs import Belief, standard_belief
from metarl_jax.checks import require_positive
from metarl_jax.networks import NetworkConfig, mlp
from metarl_jax.recollections import (
    action_size,
    action_vector,
    as_input,
    num_inputs,
    recall,
)
from metarl_jax.reward_likelihoods import RewardLikelihood, SquaredError
from metarl_jax.sequence_models import (
    GruConfig,
    SequenceConfig,
    embedded,
    sequence_model,
)
from metarl_jax.types import (
    Array,
    Environment,
    Key,
    Memory,
    Metrics,
    Params,
    Rollout,
)

_LINEAR = NetworkConfig(hidden_sizes=())
_SMALLEST_VARIANCE = 1e-4


@dataclasses.dataclass(frozen=True)
class AutoencoderConfig:
    """Networks and objective of a trial autoencoder."""

    embedding_size: int = 5  # Z
    input_sizes: tuple[int, ...] = (64,)  # of layers between input and memory
    memory: SequenceConfig = GruConfig()
    decoder_sizes: tuple[int, ...] = (64, 64)
    likelihood: RewardLikelihood = SquaredError()
    # what a reward is predicted from, beside the embedding
    reward_of: Literal["next_observation", "transition"] = "transition"
    # True: next observations are predicted, too
    predict_transitions: bool = False
    kl_weight: float = 1.0
    num_elbo_steps: int = 8  # of a life, drawn anew each time

    def __post_init__(self):
        require_positive(self, "embedding_size", "kl_weight", "num_elbo_steps")


class Life(NamedTuple):
    """One life of a trial, as vectors; L = (K+1) * T steps."""

    inputs: Array  # [L, D]; what the encoder reads before it acts
    observation: Array  # [L, O]
    action: Array  # [L, A]; one-hot if it is discrete
    reward: Array  # [L]
    next_observation: Array  # [L, O]


class TrialAutoencoder(NamedTuple):
    """An encoder of experience into beliefs, and a decoder of tasks into experience."""

    init: Callable[[Key], Params]  # parameters `encoder` and `decoder`
    initial_memory: Memory
    # (params, inputs [D], is_first [], memory) -> (Belief [Z], memory)
    step: Callable[[Params, Array, Array, Memory], tuple[Belief, Memory]]
    # (params, life) -> Belief, leaves [L, Z]: at each step, before its transition
    beliefs: Callable[[Params, Life], Belief]
    # (params, embedding [Z], observation, action, next_observation) -> expected reward
    reward: Callable[[Params, Array, Array, Array, Array], Array]
    # (params, embeddings [L, Z], life) -> [L]: minus the log-likelihood of each step
    # under an embedding of its own
    errors: Callable[[Params, Array, Life], Array]
    # (key, params, life) -> (minus the mean ELBO, its parts)
    loss: Callable[[Key, Params, Life], tuple[Array, Metrics]]


def trial_autoencoder(
    env: Environment, config: AutoencoderConfig, length: int
) -> TrialAutoencoder:
    """The variational autoencoder of VariBAD.

    The belief before step t comes from a sequence model that has read the transitions
    up to there; before the first one it is the standard normal prior. An embedding
    drawn from it has to predict the rewards of the whole life, past and future. With
    q_t the belief at step t, tau the life and m an embedding, the objective is the mean
    over steps of

        ELBO_t = E_{m ~ q_t}[log p(tau | m)] - kl_weight * KL(q_t || q_{t-1}),

    q_{-1} being the prior. The expectations are estimated by one sample each, at
    `num_elbo_steps` steps; the divergence is that of all steps.

    Args:
      env: the environment.
      config: networks and objective.
      length: steps of a life, L.

    Returns:
      The corresponding `TrialAutoencoder`.

    References:
      Zintgraf et al., VariBAD: A Very Good Method for Bayes-Adaptive Deep RL via
      Meta-Learning (2020), equations 8 to 10, https://arxiv.org/abs/1910.08348
    """
    init_encoder, initial_memory, step, unroll = _encoder(env, config, length)
    init_decoder, predict = _decoder(env, config)

    def init(key: Key) -> Params:
        encoder_key, decoder_key = jax.random.split(key)
        return {
            "encoder": init_encoder(encoder_key),
            "decoder": init_decoder(decoder_key),
        }

    def error(params: Params, embedding: Array, life: Life) -> Array:
        """Of one transition."""
        output, next_observation = predict(params["decoder"], embedding, life)
        error = config.likelihood.error(output, life.reward)
        return error + jnp.sum((next_observation - life.next_observation) ** 2)

    def loss(key: Key, params: Params, life: Life) -> tuple[Array, Metrics]:
        step_key, sample_key = jax.random.split(key)
        beliefs = unroll(params["encoder"], life.inputs)
        number = min(config.num_elbo_steps, length)
        steps = jax.random.choice(step_key, length, (number,), replace=False)
        drawn = jax.tree.map(lambda leaf: leaf[steps], beliefs).sample(sample_key)
        of_all = lambda embedding: jax.vmap(partial(error, params, embedding))(life)
        reconstruction = jnp.mean(jnp.sum(jax.vmap(of_all)(drawn), axis=-1))
        divergence = jnp.mean(beliefs.kl(_previous(beliefs)))
        metrics = {"reconstruction": reconstruction, "belief_change": divergence}
        return reconstruction + config.kl_weight * divergence, metrics

    def reward(params: Params, embedding: Array, *transition: Array) -> Array:
        observation, action, next_observation = transition
        life = Life(
            inputs=(),
            observation=observation.reshape(-1).astype(float),
            action=action_vector(env.action_space, action),
            reward=(),
            next_observation=next_observation.reshape(-1).astype(float),
        )
        output, _ = predict(params["decoder"], embedding, life)
        return config.likelihood.mean(output)

    return TrialAutoencoder(
        init=init,
        initial_memory=initial_memory,
        step=lambda params, *inputs: step(params["encoder"], *inputs),
        beliefs=lambda params, life: unroll(params["encoder"], life.inputs),
        reward=reward,
        errors=lambda params, *batch: jax.vmap(partial(error, params))(*batch),
        loss=loss,
    )


def lives(env: Environment, trial: Rollout) -> Life:
    """The E lives of a trial [K+1, T, E]: leaves [E, L, ...]."""

    def life(trial: Rollout) -> Life:
        length = trial.reward.size
        observation, recollection = recall(env, trial)
        flat = lambda leaf: leaf.reshape(length, -1).astype(float)
        vector = partial(action_vector, env.action_space)
        return Life(
            inputs=jax.vmap(partial(as_input, length=length))(
                observation, recollection
            ),
            observation=observation,
            action=flat(jax.vmap(jax.vmap(vector))(trial.action)),
            reward=flat(trial.reward)[:, 0],
            next_observation=flat(trial.next_observation),
        )

    return jax.vmap(life, in_axes=2)(trial)


def trial_beliefs(
    env: Environment, autoencoder: TrialAutoencoder, params: Params, trial: Rollout
) -> Belief:
    """Beliefs at the steps of a trial [K+1, T, E]: leaves [K+1, T, E, Z]."""
    beliefs = jax.vmap(partial(autoencoder.beliefs, params))(lives(env, trial))
    return jax.tree.map(partial(_by_step, trial), beliefs)


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
        the belief at that.

    Returns:
      Minus the log-likelihood of each step, [K+1, T, E].
    """
    key, trial, beliefs = entry
    drawn = beliefs.sample(key)
    by_life = jnp.moveaxis(drawn.reshape(-1, *drawn.shape[2:]), 1, 0)
    after = jnp.concatenate([by_life[:, 1:], by_life[:, -1:]], axis=1)
    errors = jax.vmap(partial(autoencoder.errors, params))(after, lives(env, trial))
    return _by_step(trial, errors)[..., 0]


def life_shapes(env: Environment, length: int) -> Life:
    """The shapes of a `Life` of `length` steps in `env`."""
    shape = lambda *sizes: jax.ShapeDtypeStruct((length, *sizes), jnp.zeros(()).dtype)
    observation = shape(math.prod(env.observation_space.shape))
    action = shape(action_size(env.action_space))
    inputs = shape(num_inputs(env))
    return Life(inputs, observation, action, shape(), observation)


def _encoder(env: Environment, config: AutoencoderConfig, length: int):
    """`(init, initial_memory, step, unroll)`."""
    layers = NetworkConfig(config.input_sizes, activation="relu")
    make_model = lambda size: sequence_model(config.memory, size, length)
    model = embedded(num_inputs(env), layers, make_model)
    init_head, head = mlp(model.num_features, 2 * config.embedding_size, _LINEAR)

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


def _decoder(env: Environment, config: AutoencoderConfig):
    """`(init, predict)`; `predict(params, embedding, life)` of one transition.

    Predicts an output for the likelihood of the reward, and the next observation.
    """
    layers = NetworkConfig(config.decoder_sizes, activation="relu")
    observation_size = math.prod(env.observation_space.shape)
    before_size = config.embedding_size + observation_size
    before_size += action_size(env.action_space)
    after_size = config.embedding_size + observation_size
    whole = config.reward_of == "transition"
    reward_size = before_size + observation_size if whole else after_size
    init_reward, reward = mlp(reward_size, 1, layers)
    init_transition, transition = mlp(before_size, observation_size, layers)

    def init(key: Key) -> Params:
        reward_key, transition_key = jax.random.split(key)
        params = {"reward": init_reward(reward_key)}
        if config.predict_transitions:
            params["transition"] = init_transition(transition_key)
        return params

    def predict(params: Params, embedding: Array, life: Life) -> tuple[Array, Array]:
        before = jnp.concatenate([embedding, life.observation, life.action])
        start = before if whole else embedding
        after = jnp.concatenate([start, life.next_observation])
        next_observation = life.next_observation
        if config.predict_transitions:
            change = transition(params["transition"], before)
            next_observation = life.observation + change
        return reward(params["reward"], after)[0], next_observation

    return init, predict


def _previous(beliefs: Belief) -> Belief:
    """The belief before each of [L, Z]; the prior before the first."""
    prior = standard_belief(beliefs.mean.shape[-1])
    shift = lambda first, leaf: jnp.concatenate([first[None], leaf[:-1]])
    return jax.tree.map(shift, prior, beliefs)


def _by_step(trial: Rollout, leaf: Array) -> Array:
    """What belongs to the steps of lives, [E, L, ...], by step: [K+1, T, E, *]."""
    return jnp.moveaxis(leaf, 0, 1).reshape(*trial.reward.shape, -1)
