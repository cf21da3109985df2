"""Model-agnostic meta-learning for reinforcement learning."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metarl_jax import losses
from metarl_jax.adaptation import (
    adapted_params,
    gradient_adaptation,
    step_sizes,
    stop_gradient,
)
from metarl_jax.losses import AdvantageConfig, SurrogateName
from metarl_jax.networks import NetworkConfig, mlp_policy
from metarl_jax.optimizers import (
    AdamConfig,
    MetaObjective,
    TrustRegionConfig,
    last_rollout,
    outer_optimizer,
)
from metarl_jax.rollouts import collect
from metarl_jax.task_axis import TaskAxis
from metarl_jax.types import (
    Adaptation,
    Environment,
    Key,
    MetaAlgorithm,
    Params,
    Policy,
    Rollout,
    Task,
)


@dataclasses.dataclass(frozen=True)
class MamlConfig:
    """MAML by policy gradients; the defaults are those of Finn et al. (2017)."""

    num_adaptation_steps: int = 1  # K
    num_episodes: int = 20  # E
    inner_step_sizes: tuple[float, ...] = (0.1,)  # the last one also for later steps
    first_order: bool = False  # True: take inner gradients for constants
    inner_surrogate: SurrogateName = "likelihood_ratio"
    inner_advantage: AdvantageConfig = AdvantageConfig()
    outer_advantage: AdvantageConfig = AdvantageConfig()
    outer: AdamConfig | TrustRegionConfig = AdamConfig()
    network: NetworkConfig = NetworkConfig()


class MamlState(NamedTuple):
    params: Params
    optimizer_state: Any


def maml(env: Environment, config: MamlConfig, axis: TaskAxis) -> MetaAlgorithm:
    """Learns parameters from which a few policy-gradient steps solve a task.

    theta' = theta - alpha * grad L(theta; D_0), repeated K times on fresh data, and
    theta minimises the mean over tasks of L(theta'; D_K), by its gradient through all
    K steps.

    Args:
      env: one environment; tasks are arguments to its functions.
      config: sizes, steps and estimators.
      axis: how to go over tasks.

    Returns:
      The corresponding `MetaAlgorithm`.

    References:
      Finn et al., Model-Agnostic Meta-Learning (2017), algorithm 3,
      https://arxiv.org/abs/1703.03400
    """
    policy = mlp_policy(env.observation_space, env.action_space, config.network)
    adaptation = inner_loop(policy, config)
    objective = meta_objective(policy, adaptation, config)
    optimizer = outer_optimizer(config.outer, objective, axis)

    def init(key: Key) -> MamlState:
        params = policy.init(key)
        return MamlState(params, optimizer.init(params))

    def adapt(key: Key, params: Params, task: Task) -> Rollout:
        def stage(state, inputs):
            key, index = inputs
            rollout = collect(key, env, policy, state.params, task, config.num_episodes)
            state = jax.lax.cond(
                index < config.num_adaptation_steps,
                adaptation.update,
                lambda state, _: state,
                state,
                rollout,
            )
            return state, rollout

        num_stages = config.num_adaptation_steps + 1
        inputs = jax.random.split(key, num_stages), jnp.arange(num_stages)
        return jax.lax.scan(stage, adaptation.init(params), inputs)[1]

    def update(key: Key, state: MamlState, trials: Rollout):
        params, optimizer_state, metrics = optimizer.update(*state, trials)
        return MamlState(params, optimizer_state), metrics

    return MetaAlgorithm(init, adapt, update)


def inner_loop(policy: Policy, config: MamlConfig) -> Adaptation:
    """Policy-gradient steps on the data of one task."""
    surrogate = losses.SURROGATES[config.inner_surrogate]
    loss = losses.policy_gradient(surrogate, losses.advantages(config.inner_advantage))
    optimizer = optax.sgd(step_sizes(config.inner_step_sizes))
    if config.first_order:
        optimizer = optax.chain(stop_gradient(), optimizer)
    return gradient_adaptation(losses.of_policy(policy, loss), optimizer)


def meta_objective(
    policy: Policy, adaptation: Adaptation, config: MamlConfig
) -> MetaObjective:
    """The loss of the adapted policy on fresh data, through K steps of adaptation."""

    def adapted_policy(params: Params, trial: Rollout):
        before = jax.tree.map(lambda leaf: leaf[:-1], trial)
        params = adapted_params(adaptation, params, before)
        return losses.distributions(policy, params, last_rollout(trial))

    estimate = losses.advantages(config.outer_advantage)
    loss = losses.policy_gradient(losses.likelihood_ratio, estimate)
    return MetaObjective(adapted_policy, loss)
