"""Model-agnostic meta-learning for reinforcement learning."""

import dataclasses
import math
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metarl_jax import losses, surrogates
from metarl_jax.adaptation import (
    adaptation_path,
    gradient_adaptation,
    step_sizes,
    stop_gradient,
)
from metarl_jax.checks import require, require_positive
from metarl_jax.losses import AdvantageConfig
from metarl_jax.networks import NetworkConfig, mlp_policy
from metarl_jax.optimizers import (
    AdamConfig,
    MetaObjective,
    OuterConfig,
    outer_optimizer,
)
from metarl_jax.rollouts import collect
from metarl_jax.surrogates import SURROGATES, SurrogateName
from metarl_jax.task_axis import TaskAxis
from metarl_jax.types import (
    Adaptation,
    Array,
    Distribution,
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
    # which rollouts the outer loss is on: the last one of a trial, or all that were
    # collected after an adaptation (the multi-step loss of Antoniou et al. 2019)
    outer_stages: Literal["last", "adapted"] = "last"
    outer: OuterConfig = AdamConfig()
    network: NetworkConfig = NetworkConfig()

    def __post_init__(self):
        steps = self.num_adaptation_steps
        require(steps >= 0, f"num_adaptation_steps must be 0 or more, not {steps}")
        require_positive(self, "num_episodes")
        sizes = self.inner_step_sizes
        positive = bool(sizes) and all(0 < size < math.inf for size in sizes)
        require(positive, f"inner_step_sizes must be above 0 each, not {sizes}")


class MamlState(NamedTuple):
    params: Params
    optimizer_state: Any


def maml(env: Environment, config: MamlConfig, axis: TaskAxis) -> MetaAlgorithm:
    """Learns parameters from which a few policy-gradient steps solve a task.

    theta' = theta - alpha * grad L(theta; D_0), repeated K times on fresh data, and
    theta minimises the mean over tasks of L(theta'; D_K), by its gradient through all
    K steps. D_k is the rollout after k steps.

    Args:
      env: one environment; tasks are arguments to its functions.
      config: sizes, steps and estimators.
      axis: how to go over tasks.

    Returns:
      The corresponding `MetaAlgorithm`.

    References:
      Finn et al., Model-Agnostic Meta-Learning (2017), algorithm 3,
      https://arxiv.org/abs/1703.03400
      Antoniou et al., How to train your MAML (2019), https://arxiv.org/abs/1810.09502
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
    surrogate = SURROGATES[config.inner_surrogate]
    loss = losses.policy_gradient(surrogate, losses.advantages(config.inner_advantage))
    optimizer = optax.sgd(step_sizes(config.inner_step_sizes))
    if config.first_order:
        optimizer = optax.chain(stop_gradient(), optimizer)
    return gradient_adaptation(losses.of_policy(policy, loss), optimizer)


def meta_objective(
    policy: Policy, adaptation: Adaptation, config: MamlConfig
) -> MetaObjective:
    """The loss of adapted policies on fresh data, through the steps of adaptation."""
    num_steps = config.num_adaptation_steps
    first = num_steps if config.outer_stages == "last" else min(1, num_steps)

    def adapted_policies(params: Params, trial: Rollout) -> Distribution:
        before = jax.tree.map(lambda leaf: leaf[:num_steps], trial)
        path = adaptation_path(adaptation, params, before)
        stages = jax.tree.map(lambda leaf: leaf[first:], (path, trial))
        return jax.lax.map(lambda stage: losses.distributions(policy, *stage), stages)

    estimate = losses.advantages(config.outer_advantage)
    stage_loss = losses.policy_gradient(surrogates.likelihood_ratio, estimate)

    def loss(distributions: Distribution, trial: Rollout) -> Array:
        rollouts = jax.tree.map(lambda leaf: leaf[first:], trial)
        return jnp.mean(jax.vmap(stage_loss)(distributions, rollouts))

    return MetaObjective(adapted_policies, loss)
