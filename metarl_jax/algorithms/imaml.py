"""Implicit MAML: the derivative of where adaptation ends, and not of its path."""

import dataclasses

from metarl_jax.adaptation import implicit_adaptation, step_sizes
from metarl_jax.checks import require, require_positive
from metarl_jax.gradient_methods import (
    MetaGradientConfig,
    inner_loss,
    meta_gradient_algorithm,
)
from metarl_jax.networks import mlp_policy
from metarl_jax.surrogates import SurrogateName
from metarl_jax.task_axis import TaskAxis
from metarl_jax.types import Environment, MetaAlgorithm


@dataclasses.dataclass(frozen=True)
class ImamlConfig(MetaGradientConfig):
    """Each adaptation step minimises the inner loss near to where it starts.

    `inner_step_sizes` are 1 / lambda of the paper: how far the minimum may be, as MAML
    would step. `inner_updates` gradients of the loss are spent on it. With plain
    log-probabilities inside, the loss stays bounded in between.
    """

    inner_surrogate: SurrogateName = "log_probability"
    inner_updates: int = 5
    conjugate_gradient_steps: int = 5

    def __post_init__(self):
        super().__post_init__()
        require_positive(self, "conjugate_gradient_steps")
        require(not self.rematerialize, "iMAML needs no rematerialize: set it to False")


def imaml(env: Environment, config: ImamlConfig, axis: TaskAxis) -> MetaAlgorithm:
    """Learns parameters near which there is a good minimum for each task.

    Args:
      env: the environment.
      config: of the learner.
      axis: how to go over tasks.

    Returns:
      The corresponding `MetaAlgorithm`.

    References:
      Rajeswaran et al., Meta-Learning with Implicit Gradients (2019),
      https://arxiv.org/abs/1909.04630
    """
    policy = mlp_policy(env.observation_space, env.action_space, config.network)
    adaptation = implicit_adaptation(
        inner_loss(policy, config),
        step_sizes(config.inner_step_sizes),
        config.inner_updates,
        config.conjugate_gradient_steps,
    )
    return meta_gradient_algorithm(env, policy, adaptation, config, axis)
