"""PEARL: off-policy meta-learning with a belief over task embeddings."""

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metarl_jax.buffer_memory import check_memory
from metarl_jax.checks import (
    num_training_tasks,
    require,
    require_choices,
    require_fraction,
    require_not_negative,
    require_positive,
)
from metarl_jax.conditioning import Concatenation, Conditioning
from metarl_jax.context_encoder import ContextEncoder, context_encoder
from metarl_jax.minibatches import groups
from metarl_jax.networks import NetworkConfig
from metarl_jax.posterior_sampling import (
    EMBEDDINGS,
    ContextInput,
    EmbeddingChoice,
    beliefs_when_acting,
    collect_by_posterior,
    context_vectors,
    greedy,
    named_reward,
    num_context_inputs,
    posterior_adaptation,
)
from metarl_jax.replay import Replay, add, empty_replay, sample, sample_tasks
from metarl_jax.soft_actor_critic import (
    ActorCritic,
    SacConstants,
    SacParams,
    Transition,
    actor_critic,
    sac_losses,
)
from metarl_jax.task_axis import TaskAxis
from metarl_jax.types import (
    Array,
    Environment,
    Key,
    MetaAlgorithm,
    Metrics,
    Params,
    Rollout,
)

_POLICY = NetworkConfig(
    (128, 128), "relu", state_dependent_std=True, smallest_std=1e-3, squash=True
)
_CRITIC = NetworkConfig((128, 128), "relu")
_ENCODER = NetworkConfig(
    (64, 64), "relu", state_dependent_std=True, initial_std=10.0, smallest_std=1e-3
)


@dataclasses.dataclass(frozen=True)
class PearlConfig:
    """Trials of posterior sampling, and soft actor-critic on the replay of all tasks.

    Names of rewards are `reward`, or that of another one which the environment reports.
    """

    adapts_parameters: ClassVar[bool] = False
    tested_on_any_length: ClassVar[bool] = True

    num_adaptation_steps: int = 2  # K; updates of the belief
    num_episodes: int = 1  # E; rows between two updates, each with its own embedding
    embedding_size: int = 5  # Z
    embedding: EmbeddingChoice = "sampled"  # of a belief, at test time
    training_embedding: EmbeddingChoice = "sampled"  # likewise, in training
    context_inputs: tuple[ContextInput, ...] = ("observation", "action", "reward")
    context_reward: str = "reward"  # that the encoder reads
    critic_reward: str = "reward"  # that is maximised
    # of each trial in training the stages, from the first on, that the encoder learns
    # from, at most; there are K + 1, and the first alone is collected from the prior
    num_context_stages: int = 1
    context_size: int = 64  # transitions that the encoder reads of a task
    batch_size: int = 256  # transitions that the critics learn from, of a task
    meta_batch: int = 16  # tasks of an update
    num_updates: int = 200  # of an iteration
    replay_capacity: int = 5000  # transitions of a task
    learning_rate: float = 3e-4
    target_step_size: float = 0.005  # of target critics towards the critics
    discount: float = 0.99  # gamma
    reward_scale: float = 5.0
    initial_temperature: float = 1.0  # alpha; in scaled rewards per nat
    target_entropy: float = -1.0  # nats for each entry of an action
    # of the belief's divergence from the prior, a mean over tasks (the authors' code
    # sums over the tasks of a batch: its 0.1 for 16 tasks is 1.6 here)
    kl_weight: float = 0.1
    conditioning: Conditioning = Concatenation()  # of policy and critics
    policy: NetworkConfig = _POLICY
    critic: NetworkConfig = _CRITIC
    encoder: NetworkConfig = _ENCODER  # its spread is that of a factor

    def __post_init__(self):
        require_not_negative(self, "num_adaptation_steps", "kl_weight")
        require_positive(
            self,
            *("num_episodes", "embedding_size", "num_context_stages", "context_size"),
            *("batch_size", "meta_batch", "num_updates", "replay_capacity"),
            *("learning_rate", "reward_scale", "initial_temperature"),
        )
        require_fraction(self, "target_step_size", "discount")
        require(self.policy.squash, "policy.squash must be True: actions are bounded")
        require_choices("embedding", (self.embedding,), EmbeddingChoice)
        require_choices(
            "training_embedding", (self.training_embedding,), EmbeddingChoice
        )
        require_choices("context_inputs", self.context_inputs, ContextInput)


class PearlParams(NamedTuple):
    policy: Params
    encoder: Params
    critics: Params
    log_temperature: Array  # []

    @property
    def sac(self) -> SacParams:
        """Those that soft actor-critic learns, given embeddings."""
        return SacParams(self.policy, self.critics, self.log_temperature)


class Learner(NamedTuple):
    """What an update changes."""

    params: PearlParams
    target_critics: Params
    optimizer_state: Any


class PearlState(NamedTuple):
    params: PearlParams
    target_critics: Params
    optimizer_state: Any
    replay: Replay  # of `Transition`s
    contexts: Replay  # of what the encoder reads, [D]; the last trial of each task

    @property
    def learner(self) -> Learner:
        """All but the data."""
        return Learner(self.params, self.target_critics, self.optimizer_state)


class Lesson(NamedTuple):
    """What an update learns from, of one task."""

    key: Key
    context: Array  # [C, D]
    batch: Transition  # leaves [B, ...]


def pearl(env: Environment, config: PearlConfig, axis: TaskAxis) -> MetaAlgorithm:
    """A policy told a task embedding, which an encoder infers from what was lived.

    Each iteration adds trials of posterior sampling to the replay of their tasks and
    then takes many steps: soft actor-critic on any data of a task, given an embedding
    that is inferred from its last trial. The critics' loss trains the encoder. As in
    the authors' code, the data of an embedding are the last trial's, and at test time
    the most likely actions are taken: `adapt` does so, where `policy`, which explores,
    draws them. Other algorithms draw actions at test time, too.

    Args:
      env: the environment, with numbered tasks to train on.
      config: of the learner.
      axis: how to go over tasks.

    Returns:
      The corresponding `MetaAlgorithm`.

    Raises:
      ValueError: if the data of a seed would take more than 8 GB, or `env` does not
        fit.

    References:
      Rakelly et al., Efficient Off-Policy Meta-Reinforcement Learning via
      Probabilistic Context Variables (2019), algorithms 1 and 2,
      https://arxiv.org/abs/1903.08254
    """
    empty_data = partial(_empty_data, env, config)
    check_memory(empty_data, "replay_capacity or num_training_tasks")
    networks = actor_critic(
        env,
        config.embedding_size,
        config.conditioning,
        config.policy,
        config.critic,
    )
    num_inputs = num_context_inputs(env, config.context_inputs)
    encoder = context_encoder(num_inputs, config.embedding_size, config.encoder)
    context = partial(
        context_vectors, inputs=config.context_inputs, reward=config.context_reward
    )
    adaptation = posterior_adaptation(encoder, context)
    sizes = config.num_adaptation_steps, config.num_episodes
    collect = partial(collect_by_posterior, env, adaptation, *sizes)
    explore = collect(networks.policy, EMBEDDINGS[config.training_embedding])
    improve = _improvement(_loss(env, networks, encoder, config), config, axis)

    def init(key: Key) -> PearlState:
        params = _initial_params(key, networks, encoder, config)
        target_critics = jax.tree.map(jnp.copy, params.critics)
        optimizer_state = _optimizer(config).init(params)
        return PearlState(params, target_critics, optimizer_state, *empty_data())

    def update(key: Key, state: PearlState, trials: Rollout):
        state = _remember(state, trials, context, config)
        learner, metrics = improve(key, state)
        return PearlState(*learner, state.replay, state.contexts), metrics

    return MetaAlgorithm(
        init=init,
        adapt=collect(greedy(networks.policy), EMBEDDINGS[config.embedding]),
        update=update,
        explore=lambda key, state, task: explore(key, state.params, task),
        policy=networks.policy,
        adaptation=adaptation,
        beliefs=beliefs_when_acting(adaptation),
    )


def _empty_data(env: Environment, config: PearlConfig) -> tuple[Replay, Replay]:
    """`replay` and `contexts` of the state."""
    num_tasks = num_training_tasks(env)
    read = jnp.zeros(num_context_inputs(env, config.context_inputs))
    return (
        empty_replay(_example(env), num_tasks, config.replay_capacity),
        empty_replay(read, num_tasks, _context_steps(env, config)),
    )


def _example(env: Environment) -> Transition:
    """The shape of a transition in the replay."""
    vector = lambda space: jax.ShapeDtypeStruct(space.shape, jnp.float32)
    scalar = lambda dtype: jax.ShapeDtypeStruct((), dtype)
    observation, action = vector(env.observation_space), vector(env.action_space)
    return Transition(
        observation, action, scalar(jnp.float32), scalar(jnp.bool_), observation
    )


def _num_context_stages(config: PearlConfig) -> int:
    return min(config.num_context_stages, config.num_adaptation_steps + 1)


def _context_steps(env: Environment, config: PearlConfig) -> int:
    """The transitions of a trial that the encoder learns from."""
    return _num_context_stages(config) * env.horizon * config.num_episodes


def _initial_params(
    key: Key, networks: ActorCritic, encoder: ContextEncoder, config: PearlConfig
) -> PearlParams:
    policy_key, encoder_key, critic_key = jax.random.split(key, 3)
    return PearlParams(
        policy=networks.policy.init(policy_key)["shared"],
        encoder=encoder.init(encoder_key),
        critics=networks.init_critics(critic_key),
        log_temperature=jnp.log(jnp.asarray(config.initial_temperature, float)),
    )


def _remember(
    state: PearlState, trials: Rollout, context: Callable, config: PearlConfig
) -> PearlState:
    """Adds trials [N, K+1, T, E] to the data of their tasks."""
    numbers = trials.metrics["task_number"][:, 0, 0, 0]
    first = jax.tree.map(lambda leaf: leaf[:, : _num_context_stages(config)], trials)
    transitions = jax.vmap(partial(_transitions, config.critic_reward))(trials)
    return state._replace(
        replay=add(state.replay, numbers, transitions),
        contexts=add(state.contexts, numbers, jax.vmap(context)(first)),
    )


def _transitions(reward: str, trial: Rollout) -> Transition:
    """The transitions of a trial [K+1, T, E], leaves [L, ...]."""
    transitions = Transition(
        trial.observation,
        trial.action,
        named_reward(trial, reward),
        trial.terminated,
        trial.next_observation,
    )
    axes = trial.reward.ndim
    flat = lambda leaf: leaf.reshape(-1, *leaf.shape[axes:])
    return jax.tree.map(flat, transitions)


def _loss(
    env: Environment,
    networks: ActorCritic,
    encoder: ContextEncoder,
    config: PearlConfig,
) -> Callable[[PearlParams, Params, Lesson], tuple[Array, Metrics]]:
    """`(params, target_critics, lessons [B, ...]) -> (loss, metrics)`, task means."""
    constants = SacConstants(
        config.discount,
        config.reward_scale,
        config.target_entropy * math.prod(env.action_space.shape),
    )

    def of_task(params: PearlParams, target_critics: Params, lesson: Lesson):
        embedding_key, key = jax.random.split(lesson.key)
        belief = encoder.encode(params.encoder, lesson.context)
        embedding = EMBEDDINGS[config.training_embedding](embedding_key, belief)
        losses, metrics = sac_losses(
            key,
            networks,
            params.sac,
            target_critics,
            lesson.batch,
            embedding,
            constants,
        )
        kl = belief.kl(encoder.prior)
        return losses.total + config.kl_weight * kl, metrics | {"belief_kl": kl}

    def loss(params: PearlParams, target_critics: Params, lessons: Lesson):
        each = jax.vmap(partial(of_task, params, target_critics))(lessons)
        return jax.tree.map(jnp.mean, each)

    return loss


def _improvement(
    loss: Callable, config: PearlConfig, axis: TaskAxis
) -> Callable[[Key, PearlState], tuple[Learner, Metrics]]:
    """The steps of one iteration: `(key, state) -> (learner, metrics)`."""
    loss_and_gradient = jax.value_and_grad(loss, has_aux=True)
    optimizer = _optimizer(config)

    def step(state: PearlState, learner: Learner, key: Key) -> tuple[Learner, Metrics]:
        params, target_critics, optimizer_state = learner
        (_, metrics), gradient = axis.mean(
            lambda shared, lessons: loss_and_gradient(*shared, lessons),
            (params, target_critics),
            groups(_lessons(key, state, config), axis.num_devices),
        )
        updates, optimizer_state = optimizer.update(gradient, optimizer_state, params)
        params = optax.apply_updates(params, updates)
        target_critics = optax.incremental_update(
            params.critics, target_critics, config.target_step_size
        )
        return Learner(params, target_critics, optimizer_state), metrics

    def improve(key: Key, state: PearlState) -> tuple[Learner, Metrics]:
        keys = jax.random.split(key, config.num_updates)
        learner, metrics = jax.lax.scan(partial(step, state), state.learner, keys)
        return learner, jax.tree.map(jnp.mean, metrics)

    return improve


def _optimizer(config: PearlConfig) -> optax.GradientTransformation:
    return optax.adam(config.learning_rate)


def _lessons(key: Key, state: PearlState, config: PearlConfig) -> Lesson:
    """Draws tasks that have data, and data of each: leaves [meta_batch, ...]."""
    task_key, context_key, batch_key, loss_key = jax.random.split(key, 4)
    tasks = sample_tasks(task_key, state.replay, config.meta_batch)
    return Lesson(
        jax.random.split(loss_key, config.meta_batch),
        sample(context_key, state.contexts, tasks, config.context_size),
        sample(batch_key, state.replay, tasks, config.batch_size),
    )
