"""First-order MAML: no derivative through the gradient of the inner loop."""

import dataclasses

import optax

from metarl_jax.adaptation import stop_gradient
from metarl_jax.gradient_methods import (
    MetaGradientConfig,
    inner_loop,
    inner_sgd,
    meta_gradient_algorithm,
)
from metarl_jax.networks import mlp_policy
from metarl_jax.task_axis import TaskAxis
from metarl_jax.types import Environment, MetaAlgorithm


@dataclasses.dataclass(frozen=True)
class FomamlConfig(MetaGradientConfig):
    """As MAML's; the inner surrogate matters only where data is used more than once."""


def fomaml(env: Environment, config: FomamlConfig, axis: TaskAxis) -> MetaAlgorithm:
    """MAML that takes inner gradients for constants.

    Args:
      env: the environment.
      config: of the learner.
      axis: how to go over tasks.

    Returns:
      The corresponding `MetaAlgorithm`.

    References:
      Finn et al., Model-Agnostic Meta-Learning (2017), section 5.2,
      https://arxiv.org/abs/1703.03400
    """
    policy = mlp_policy(env.observation_space, env.action_space, config.network)
    optimizer = optax.chain(stop_gradient(), inner_sgd(config))
    adaptation = inner_loop(policy, config, optimizer)
    return meta_gradient_algorithm(env, policy, adaptation, config, axis)
