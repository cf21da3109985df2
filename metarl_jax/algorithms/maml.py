"""Model-agnostic meta-learning for reinforcement learning."""

import dataclasses

from metarl_jax.gradient_methods import (
    MetaGradientConfig,
    inner_loop,
    meta_gradient_algorithm,
)
from metarl_jax.networks import mlp_policy
from metarl_jax.task_axis import TaskAxis
from metarl_jax.types import Environment, MetaAlgorithm


@dataclasses.dataclass(frozen=True)
class MamlConfig(MetaGradientConfig):
    """MAML; by default with the policy-gradient steps of Finn et al. (2017).

    Inner PPO is `inner_surrogate="clipped"` with several `inner_updates`; the outer
    loop is Adam, PPO or TRPO, as `outer` says.
    """


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
    return meta_gradient_algorithm(env, policy, adaptation, config, axis)
