"""Reptile: move towards where adaptation leads."""

import dataclasses

import jax
import optax

from metarl_jax.adaptation import adaptation_path
from metarl_jax.checks import require_positive
from metarl_jax.gradient_methods import (
    InnerConfig,
    MetaGradientState,
    collect_trial,
    inner_loop,
)
from metarl_jax.networks import mlp_policy
from metarl_jax.task_axis import TaskAxis
from metarl_jax.types import Environment, Key, MetaAlgorithm, Params, Rollout


@dataclasses.dataclass(frozen=True)
class ReptileConfig(InnerConfig):
    """The inner loop, and the share of its displacement that is taken over."""

    outer_step_size: float = 1.0  # epsilon

    def __post_init__(self):
        super().__post_init__()
        require_positive(self, "outer_step_size")


def reptile(env: Environment, config: ReptileConfig, axis: TaskAxis) -> MetaAlgorithm:
    """Learns parameters that are near to those which solve each task.

    A trial of K adaptation steps has K + 1 rollouts, and in training the displacement
    is that of K + 1 gradient steps, so that no data is left unused.

    Args:
      env: the environment.
      config: of the learner.
      axis: how to go over tasks.

    Returns:
      The corresponding `MetaAlgorithm`.

    References:
      Nichol et al., On First-Order Meta-Learning Algorithms (2018), algorithm 1,
      https://arxiv.org/abs/1803.02999
    """
    policy = mlp_policy(env.observation_space, env.action_space, config.network)
    adaptation = inner_loop(policy, config)
    optimizer = optax.sgd(config.outer_step_size)

    def init(key: Key) -> MetaGradientState:
        params = policy.init(key)
        return MetaGradientState(params, optimizer.init(params))

    def negative_displacement(params: Params, trial: Rollout) -> Params:
        path = adaptation_path(adaptation, params, trial)
        return jax.tree.map(lambda start, way: start - way[-1], params, path)

    def gradient_of(state: MetaGradientState, trials: Rollout) -> Params:
        return axis.mean(negative_displacement, state.params, trials)

    def update(key: Key, state: MetaGradientState, trials: Rollout):
        params, optimizer_state = state
        gradient = gradient_of(state, trials)
        updates, optimizer_state = optimizer.update(gradient, optimizer_state, params)
        params = optax.apply_updates(params, updates)
        metrics = {"displacement": optax.tree.norm(gradient)}
        return MetaGradientState(params, optimizer_state), metrics

    return MetaAlgorithm(
        init=init,
        adapt=collect_trial(env, policy, adaptation, config),
        update=update,
        policy=policy,
        adaptation=adaptation,
        gradient=gradient_of,
    )
