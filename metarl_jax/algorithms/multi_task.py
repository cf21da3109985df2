"""One policy for all tasks: what is reached without learning to adapt."""

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
class MultiTaskConfig(MetaGradientConfig):
    """Trains without adaptation; a test may adapt what was learned."""

    num_adaptation_steps: int = 0


def multi_task(
    env: Environment, config: MultiTaskConfig, axis: TaskAxis
) -> MetaAlgorithm:
    """Policy gradients on the mean over tasks; "pretrained" of Finn et al. (2017).

    With an environment that tells the task it is the oracle.

    Args:
      env: the environment.
      config: of the learner.
      axis: how to go over tasks.

    Returns:
      The corresponding `MetaAlgorithm`.
    """
    policy = mlp_policy(env.observation_space, env.action_space, config.network)
    adaptation = inner_loop(policy, config)
    return meta_gradient_algorithm(env, policy, adaptation, config, axis)
