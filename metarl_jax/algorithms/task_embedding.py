"""One policy for all tasks that is given an embedding of the task."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from metarl_jax.checks import require_fraction
from metarl_jax.conditioning import (
    ConditionedNetwork,
    Conditioning,
    Film,
    conditioned_policy,
    conditioned_value,
    context_policy,
)
from metarl_jax.embedding_sources import (
    EmbeddingSource,
    LearnedTable,
    SourceConfig,
    embedding_source,
)
from metarl_jax.gradient_methods import InnerConfig, collect_trial, context_loop
from metarl_jax.memory_policies import HeadInputs, TrialNetworks, at_steps
from metarl_jax.rollouts import collect
from metarl_jax.task_axis import TaskAxis
from metarl_jax.trial_credit import Horizon, episode_credit
from metarl_jax.trial_optimizers import (
    TrialOuterConfig,
    TrialProximalConfig,
    trial_optimizer,
)
from metarl_jax.types import (
    Adaptation,
    AdaptState,
    Array,
    Environment,
    Key,
    MetaAlgorithm,
    Params,
    Policy,
    Rollout,
    Task,
)


@dataclasses.dataclass(frozen=True)
class TaskEmbeddingConfig(InnerConfig):
    """Where the embedding comes from, what it does, and how it adapts to new tasks.

    Training does not adapt: K and the `inner_` fields are of the embedding's gradient
    steps in a test. They must not leave the space where the table's embeddings are.
    """

    num_adaptation_steps: int = 3  # K of a test
    inner_step_sizes: tuple[float, ...] = (0.03,)
    embedding: SourceConfig = LearnedTable()
    conditioning: Conditioning = Film()
    discount: float = 0.99  # gamma, within an episode
    trace_decay: float = 0.95  # lambda of generalised advantage estimation
    outer: TrialOuterConfig = TrialProximalConfig()

    def __post_init__(self):
        super().__post_init__()
        require_fraction(self, "discount", "trace_decay")


class TaskEmbeddingState(NamedTuple):
    params: Params  # `action` and `value` of the networks, `table` of the embeddings
    optimizer_state: Any


def task_embedding(
    env: Environment, config: TaskEmbeddingConfig, axis: TaskAxis
) -> MetaAlgorithm:
    """Trains a policy and the embeddings of the training tasks by policy gradients.

    In a new task the policy stays as it is, and its embedding takes gradient steps on
    the loss of the policy, where the task is not told.

    Args:
      env: the environment; see `embedding_sources` for what it must tell.
      config: of the learner.
      axis: how to go over tasks.

    Returns:
      The corresponding `MetaAlgorithm`. It trains on trials of one stage.

    References:
      Hausman et al., Learning an Embedding Space for Transferable Robot Skills (2018),
      policies conditioned on embeddings of a finite set of tasks,
      https://openreview.net/forum?id=rk07ZXZRb
      Zintgraf et al., Fast Context Adaptation via Meta-Learning (2019), gradient steps
      on nothing but an input of the policy, https://arxiv.org/abs/1810.03642
    """
    source = embedding_source(env, config.embedding)
    how = config.network, config.conditioning, source.size
    space = source.observation_space
    network = conditioned_policy(space, env.action_space, *how)
    critic = conditioned_value(space, *how)
    policy = _reading(context_policy(network, source.size), source.without_embedding)
    horizon = Horizon(config.discount, config.trace_decay, env.horizon)
    networks = _trial_networks(policy, network, critic, source)
    optimizer = trial_optimizer(networks, config.outer, horizon, axis, episode_credit)
    loop = context_loop(policy, config) if source.unknown else _stay()
    trial = collect_trial(env, policy, loop, config)

    def adapt(key: Key, params: Params, task: Task) -> Rollout:
        start = _first_embedding(source, params["table"], task)
        return trial(key, _with_context(params, start), task)

    def explore(key: Key, state: TaskEmbeddingState, task: Task) -> Rollout:
        embedding = source.of_task(state.params["table"], task)
        acting = _with_context(state.params, embedding)
        rollout = collect(key, env, policy, acting, task, config.num_episodes)
        return jax.tree.map(lambda leaf: leaf[None], rollout)

    def update(key: Key, state: TaskEmbeddingState, trials: Rollout):
        params, optimizer_state, metrics = optimizer.update(key, *state, trials)
        return TaskEmbeddingState(params, optimizer_state), metrics

    return MetaAlgorithm(
        init=lambda key: TaskEmbeddingState(*optimizer.init(key)),
        adapt=adapt,
        update=update,
        explore=explore,
        policy=policy,
        adaptation=_in_new_task(source, loop) if source.unknown else None,
    )


def _trial_networks(
    policy: Policy,
    network: ConditionedNetwork,
    critic: ConditionedNetwork,
    source: EmbeddingSource,
) -> TrialNetworks:
    """Policy and value of training tasks; they share the table where they can."""

    def with_table(name: str, init: Callable[[Key], Params]) -> Callable[[Key], Params]:
        def both(key: Key) -> Params:
            network_key, table_key = jax.random.split(key)
            return {name: init(network_key), "table": source.init(table_key)}

        return both

    def features(params: Params, trial: Rollout) -> HeadInputs:
        observation = source.without_embedding(trial.observation)
        flat = observation.reshape(*trial.reward.shape, -1)
        return HeadInputs(source.of_trial(params["table"], trial), flat)

    return TrialNetworks(
        policy=policy._replace(init=with_table("action", network.init)),
        init_value=with_table("value", critic.init),
        features=features,
        action=at_steps("action", network),
        value=at_steps("value", critic),
    )


def _reading(policy: Policy, read: Callable[[Array], Array]) -> Policy:
    """The policy, of which `read` sees the observation first."""
    return policy._replace(
        apply=lambda params, observation, memory: policy.apply(
            params, read(observation), memory
        ),
        activations=lambda params, observation: policy.activations(
            params, read(observation)
        ),
    )


def _with_context(params: Params, embedding: Array) -> Params:
    """Parameters of the policy that acts."""
    return {"shared": params["action"], "context": embedding}


def _first_embedding(source: EmbeddingSource, table: Params, task: Task) -> Array:
    """What a test starts with."""
    if source.unknown is None:
        return source.of_task(table, task)
    return source.unknown(table)


def _in_new_task(source: EmbeddingSource, loop: Adaptation) -> Adaptation:
    """Adaptation from the parameters of training, in a task that is not told."""

    def init(params: Params) -> AdaptState:
        return loop.init(_with_context(params, source.unknown(params["table"])))

    return Adaptation(init, loop.update)


def _stay() -> Adaptation:
    """No adaptation."""
    return Adaptation(lambda params: AdaptState(params, ()), lambda state, _: state)
