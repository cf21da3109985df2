"""VariBAD: act on the observation and on what is believed of the task."""

import dataclasses
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from metarl_jax import trial_buffer
from metarl_jax.belief_policies import (
    BeliefParams,
    belief_policy,
    hyper_state,
    hyper_state_networks,
)
from metarl_jax.beliefs import Belief
from metarl_jax.checks import require, require_positive
from metarl_jax.minibatches import MinibatchConfig, minibatch_descent
from metarl_jax.networks import NetworkConfig
from metarl_jax.rollouts import collect_lives
from metarl_jax.task_axis import TaskAxis
from metarl_jax.trial_autoencoder import (
    AutoencoderConfig,
    Life,
    TrialAutoencoder,
    life_shapes,
    lives,
    trial_autoencoder,
)
from metarl_jax.trial_buffer import TrialBuffer
from metarl_jax.trial_optimizers import (
    Horizon,
    TrialOuterConfig,
    TrialProximalConfig,
    trial_optimizer,
)
from metarl_jax.types import (
    Array,
    Environment,
    Key,
    MetaAlgorithm,
    Metrics,
    Params,
    Rollout,
    Task,
)


@dataclasses.dataclass(frozen=True)
class BeliefLearningConfig(MinibatchConfig):
    """How beliefs are learned: steps of Adam on minibatches of recent lives.

    The memory of past lives takes, in floats, `buffer_size` times the steps of a life
    times 4 O + 2 A + 4, O and A being the sizes of observations and actions.
    """

    max_gradient_norm: float = 10.0
    num_epochs: int = 1
    num_minibatches: int = 16
    batch_size: int = 64  # lives of one minibatch
    buffer_size: int = 2048  # lives that are kept, the newest

    def __post_init__(self):
        super().__post_init__()
        require_positive(self, "batch_size", "buffer_size")


@dataclasses.dataclass(frozen=True)
class VaribadConfig:
    """Trials of K + 1 episodes, a belief at each step, and a policy of beliefs."""

    num_adaptation_steps: int = 1  # K
    num_episodes: int = 1  # E; lives of one task, each with a belief of its own
    autoencoder: AutoencoderConfig = AutoencoderConfig()
    belief_learning: BeliefLearningConfig = BeliefLearningConfig()
    network: NetworkConfig = NetworkConfig()  # of the policy, and of its value function
    discount: float = 0.99  # gamma, over the whole trial
    trace_decay: float = 0.95  # lambda of generalised advantage estimation
    outer: TrialOuterConfig = TrialProximalConfig()

    def __post_init__(self):
        steps = self.num_adaptation_steps
        require(steps >= 0, f"num_adaptation_steps must be 0 or more, not {steps}")
        require_positive(self, "num_episodes")
        for name in ("discount", "trace_decay"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"{name} must be between 0 and 1, not {value}")


class VaribadState(NamedTuple):
    params: BeliefParams
    optimizer_state: Any  # of the policy
    belief_optimizer_state: Any
    buffer: TrialBuffer  # of entries `Life`


def varibad(env: Environment, config: VaribadConfig, axis: TaskAxis) -> MetaAlgorithm:
    """A policy of observations and beliefs, where a task is an unknown embedding.

    An encoder turns what happened so far into a belief over embeddings, learned by
    predicting whole trials from it. Reinforcement learning on observation and belief
    is then an ordinary problem, whose solution explores as far as it pays within the
    trial. Adaptation is inference: parameters stay.

    Args:
      env: the environment.
      config: of the learner.
      axis: how to go over tasks.

    Returns:
      The corresponding `MetaAlgorithm`.

    References:
      Zintgraf et al., VariBAD: A Very Good Method for Bayes-Adaptive Deep RL via
      Meta-Learning (2020), https://arxiv.org/abs/1910.08348
    """
    num_stages = config.num_adaptation_steps + 1
    length = num_stages * env.horizon
    embedding_size = config.autoencoder.embedding_size
    autoencoder = trial_autoencoder(env, config.autoencoder, length)
    networks = hyper_state_networks(env, config.network, embedding_size)
    policy = belief_policy(env, autoencoder, networks, embedding_size, length)
    horizon = Horizon(config.discount, config.trace_decay, length)
    optimizer = trial_optimizer(networks, config.outer, horizon, axis)
    learner = _belief_learner(autoencoder, config.belief_learning, axis)
    beliefs = partial(_beliefs, env, autoencoder)

    def init(key: Key) -> VaribadState:
        belief_key, policy_key = jax.random.split(key)
        params, optimizer_state = optimizer.init(policy_key)
        autoencoder_params = autoencoder.init(belief_key)
        return VaribadState(
            BeliefParams(autoencoder_params, params),
            optimizer_state,
            learner.init(autoencoder_params),
            trial_buffer.empty(
                life_shapes(env, length), config.belief_learning.buffer_size
            ),
        )

    def adapt(key: Key, params: BeliefParams, task: Task) -> Rollout:
        return collect_lives(
            key, env, policy, params, task, num_stages, config.num_episodes
        )

    def update(key: Key, state: VaribadState, trials: Rollout):
        policy_key, belief_key = jax.random.split(key)
        believed = axis.map(beliefs, state.params.autoencoder, trials)
        policy_params, optimizer_state, metrics = optimizer.update(
            policy_key,
            state.params.policy,
            state.optimizer_state,
            _with_hyper_states(trials, believed),
        )
        new = axis.map(lambda _, trial: lives(env, trial), (), trials)
        merge = lambda leaf: leaf.reshape(-1, *leaf.shape[2:])
        buffer = trial_buffer.add(state.buffer, jax.tree.map(merge, new))
        *belief_state, belief_metrics = learner.update(
            belief_key,
            state.params.autoencoder,
            state.belief_optimizer_state,
            buffer,
        )
        params = BeliefParams(belief_state[0], policy_params)
        state = VaribadState(params, optimizer_state, belief_state[1], buffer)
        return state, metrics | belief_metrics

    return MetaAlgorithm(
        init=init,
        adapt=adapt,
        update=update,
        policy=policy,
        beliefs=lambda params, trial: beliefs(params.autoencoder, trial),
        predict_reward=lambda params, *inputs: autoencoder.reward(
            params.autoencoder, *inputs
        ),
    )


class _BeliefLearner(NamedTuple):
    init: Any
    # (key, params, state, buffer) -> (params, state, metrics)
    update: Any


def _belief_learner(
    autoencoder: TrialAutoencoder, config: BeliefLearningConfig, axis: TaskAxis
) -> _BeliefLearner:
    """Descends minus the ELBO of lives that the buffer holds."""

    def loss(params: Params, batch: tuple[Key, Life]) -> tuple[Array, Metrics]:
        keys, drawn = batch
        losses, metrics = jax.vmap(autoencoder.loss, (0, None, 0))(keys, params, drawn)
        return jnp.mean(losses), jax.tree.map(jnp.mean, metrics)

    descent = minibatch_descent(loss, config, axis)

    def update(key: Key, params: Params, state: Any, buffer: TrialBuffer):
        draw_key, loss_key, order_key = jax.random.split(key, 3)
        number = config.batch_size * config.num_minibatches
        drawn = trial_buffer.sample(draw_key, buffer, number)
        batch = jax.random.split(loss_key, number), drawn
        params, state, metrics = descent.update(order_key, params, state, batch)
        names = {"outer_loss": "elbo_loss", "gradient_norm": "elbo_gradient_norm"}
        metrics = {names.get(name, name): value for name, value in metrics.items()}
        return params, state, metrics

    return _BeliefLearner(descent.init, update)


def _beliefs(
    env: Environment, autoencoder: TrialAutoencoder, params: Params, trial: Rollout
) -> Belief:
    """At each step of a trial [K+1, T, E]: leaves [K+1, T, E, Z]."""
    of_lives = jax.vmap(partial(autoencoder.beliefs, params))(lives(env, trial))
    as_trial = lambda leaf: jnp.moveaxis(leaf, 0, 1).reshape(*trial.reward.shape, -1)
    return jax.tree.map(as_trial, of_lives)


def _with_hyper_states(trials: Rollout, beliefs: Belief) -> Rollout:
    """Trials [N, K+1, T, E] whose observations are hyper-states."""
    _, num_stages, num_steps, _ = trials.reward.shape
    length = num_stages * num_steps
    elapsed = jnp.arange(length).reshape(1, num_stages, num_steps, 1) / length
    elapsed = jnp.broadcast_to(elapsed, trials.reward.shape)
    observation = trials.observation.reshape(*trials.reward.shape, -1).astype(float)
    join = hyper_state
    for _ in trials.reward.shape:
        join = jax.vmap(join)
    return trials._replace(observation=join(observation, beliefs, elapsed))
