"""VariBAD: act on the observation and on what is believed of the task."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, NamedTuple

import jax

from metarl_jax.belief_learning import (
    BeliefLearner,
    BeliefLearningConfig,
    BeliefLearningState,
    belief_learner,
)
from metarl_jax.belief_policies import (
    BeliefParams,
    belief_policy,
    hyper_state_networks,
    with_hyper_states,
)
from metarl_jax.beliefs import Belief
from metarl_jax.buffer_memory import check_memory
from metarl_jax.checks import (
    require_fraction,
    require_not_negative,
    require_positive,
)
from metarl_jax.exploration_bonus import ExplorationBonusConfig
from metarl_jax.exploring_rewards import (
    Experience,
    ExploringRewards,
    rewards_as_they_are,
    rewards_with_bonus,
)
from metarl_jax.lives import Life, life_shapes, lives
from metarl_jax.networks import NetworkConfig
from metarl_jax.replay import Replay, empty_replay
from metarl_jax.rollouts import collect_lives
from metarl_jax.task_axis import TaskAxis
from metarl_jax.trial_autoencoder import (
    AutoencoderConfig,
    TrialAutoencoder,
    trial_autoencoder,
    trial_beliefs,
)
from metarl_jax.trial_credit import Horizon
from metarl_jax.trial_optimizers import (
    TrialOptimizer,
    TrialOuterConfig,
    TrialProximalConfig,
    trial_optimizer,
)
from metarl_jax.types import (
    Environment,
    Key,
    MetaAlgorithm,
    Params,
    Policy,
    Rollout,
    Task,
)


@dataclasses.dataclass(frozen=True)
class VaribadConfig:
    """Trials of K + 1 episodes, a belief at each step, and a policy of beliefs."""

    adapts_parameters: ClassVar[bool] = False
    tested_on_any_length: ClassVar[bool] = False  # only on trials as in training

    num_adaptation_steps: int = 1  # K
    num_episodes: int = 1  # E; lives of one task, each with a belief of its own
    autoencoder: AutoencoderConfig = AutoencoderConfig()
    belief_learning: BeliefLearningConfig = BeliefLearningConfig()
    network: NetworkConfig = NetworkConfig()  # of the policy, and of its value function
    discount: float = 0.99  # gamma, over the whole trial
    trace_decay: float = 0.95  # lambda of generalised advantage estimation
    outer: TrialOuterConfig = TrialProximalConfig()
    # rewards for exploring, of training alone; None: VariBAD, otherwise HyperX
    bonus: ExplorationBonusConfig | None = None

    def __post_init__(self):
        require_not_negative(self, "num_adaptation_steps")
        require_positive(self, "num_episodes")
        require_fraction(self, "discount", "trace_decay")


class VaribadState(NamedTuple):
    params: BeliefParams
    optimizer_state: Any  # of the policy
    beliefs: BeliefLearningState
    bonus: Any  # `ExplorationBonusState`, or () without


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

    Raises:
      ValueError: if the data of a seed would take more than 8 GB, or a bonus is to be
        paid in trials of one step.

    References:
      Zintgraf et al., VariBAD: A Very Good Method for Bayes-Adaptive Deep RL via
      Meta-Learning (2020), https://arxiv.org/abs/1910.08348
      Zintgraf et al., Exploration in Approximate Hyper-State Space for Meta
      Reinforcement Learning (2021), with `bonus`, https://arxiv.org/abs/2010.01062
    """
    num_stages = config.num_adaptation_steps + 1
    parts = _parts(env, config, axis, num_stages * env.horizon)
    expected_reward = parts.autoencoder.reward

    def adapt(key: Key, params: BeliefParams, task: Task) -> Rollout:
        return collect_lives(
            key, env, parts.policy, params, task, num_stages, config.num_episodes
        )

    return MetaAlgorithm(
        init=partial(_init, parts),
        adapt=adapt,
        update=partial(_update, parts),
        policy=parts.policy,
        beliefs=lambda params, trial: parts.beliefs(params.autoencoder, trial),
        predict_reward=lambda params, *inputs: expected_reward(
            params.autoencoder, *inputs
        ),
    )


class _Parts(NamedTuple):
    """What acts and learns; N tasks, E lives of L steps in each."""

    axis: TaskAxis
    autoencoder: TrialAutoencoder
    beliefs: Callable[[Params, Rollout], Belief]  # of one trial, [K+1, T, E, Z]
    lives: Callable[[Rollout], Life]  # of all trials, [N, E, L, ...]
    learner: BeliefLearner
    empty_buffer: Callable[[], Replay]  # of lives
    policy: Policy
    optimizer: TrialOptimizer  # of the policy
    exploring: ExploringRewards


def _parts(
    env: Environment, config: VaribadConfig, axis: TaskAxis, length: int
) -> _Parts:
    size = config.autoencoder.embedding_size
    empty_buffer = _empty_buffer(env, config, length)
    autoencoder = trial_autoencoder(env, config.autoencoder, length)
    networks = hyper_state_networks(env, config.network, size)
    horizon = Horizon(config.discount, config.trace_decay, length)
    return _Parts(
        axis=axis,
        autoencoder=autoencoder,
        beliefs=partial(trial_beliefs, env, autoencoder),
        lives=jax.vmap(partial(lives, env)),
        learner=belief_learner(autoencoder, config.belief_learning, axis),
        empty_buffer=empty_buffer,
        policy=belief_policy(env, autoencoder, networks, size, length),
        optimizer=trial_optimizer(networks, config.outer, horizon, axis),
        exploring=_exploring_rewards(env, autoencoder, config, horizon, axis),
    )


def _init(parts: _Parts, key: Key) -> VaribadState:
    belief_key, policy_key, bonus_key = jax.random.split(key, 3)
    policy_params, optimizer_state = parts.optimizer.init(policy_key)
    params = BeliefParams(parts.autoencoder.init(belief_key), policy_params)
    belief_state = parts.learner.init(params.autoencoder, parts.empty_buffer())
    bonus_state = parts.exploring.init(bonus_key)
    return VaribadState(params, optimizer_state, belief_state, bonus_state)


def _update(parts: _Parts, key: Key, state: VaribadState, trials: Rollout):
    bonus_key, policy_key, belief_key = jax.random.split(key, 3)
    autoencoder_params, policy_params = state.params
    believed = parts.axis.map(parts.beliefs, autoencoder_params, trials)
    hyper_trials = jax.vmap(with_hyper_states)(trials, believed)
    known = Experience(trials, believed, hyper_trials.observation)
    reward, bonus_state, bonus_metrics = parts.exploring.update(
        bonus_key, autoencoder_params, state.bonus, known
    )
    hyper_trials = hyper_trials._replace(reward=reward)
    policy_params, optimizer_state, metrics = parts.optimizer.update(
        policy_key, policy_params, state.optimizer_state, hyper_trials
    )
    autoencoder_params, belief_state, belief_metrics = parts.learner.update(
        belief_key, autoencoder_params, state.beliefs, parts.lives(trials)
    )
    params = BeliefParams(autoencoder_params, policy_params)
    state = VaribadState(params, optimizer_state, belief_state, bonus_state)
    return state, metrics | belief_metrics | bonus_metrics


def _empty_buffer(
    env: Environment, config: VaribadConfig, length: int
) -> Callable[[], Replay]:
    """Makes the buffer of lives, which has been checked to fit."""
    capacity = config.belief_learning.buffer_size
    make = partial(empty_replay, life_shapes(env, length), 1, capacity)
    check_memory(make, "buffer_size")
    return make


def _exploring_rewards(
    env: Environment,
    autoencoder: TrialAutoencoder,
    config: VaribadConfig,
    horizon: Horizon,
    axis: TaskAxis,
) -> ExploringRewards:
    """The rewards that the policy learns from."""
    if config.bonus is None:
        return rewards_as_they_are()
    size = config.autoencoder.embedding_size
    return rewards_with_bonus(env, autoencoder, config.bonus, size, horizon, axis)
