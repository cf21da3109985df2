"""Implicit MAML: the derivative of where adaptation ends, and not of its path."""

import dataclasses

from metarl_jax.adaptation import ProximalSolver, implicit_adaptation
from metarl_jax.checks import require_positive
from metarl_jax.gradient_methods import (
    MetaGradientConfig,
    inner_loss,
    meta_gradient_algorithm,
)
from metarl_jax.networks import mlp_policy
from metarl_jax.task_axis import TaskAxis
from metarl_jax.types import Environment, MetaAlgorithm


@dataclasses.dataclass(frozen=True)
class ImamlConfig(MetaGradientConfig):
    """Each adaptation step minimises the inner loss near where it starts.

    `inner_updates` gradient steps, of the first of `inner_step_sizes`, go towards the
    minimum.
    """

    regularization: float = 2.0  # lambda; 1 / lambda is about MAML's step size
    inner_step_sizes: tuple[float, ...] = (0.2,)
    inner_updates: int = 10
    conjugate_gradient_steps: int = 5

    def __post_init__(self):
        super().__post_init__()
        require_positive(self, "regularization", "conjugate_gradient_steps")


def imaml(env: Environment, config: ImamlConfig, axis: TaskAxis) -> MetaAlgorithm:
    """Learns the centre from which regularised adaptation does best.

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
    solver = ProximalSolver(
        step_size=config.inner_step_sizes[0],
        num_steps=config.inner_updates,
        num_products=config.conjugate_gradient_steps,
    )
    adaptation = implicit_adaptation(
        inner_loss(policy, config), config.regularization, solver
    )
    return meta_gradient_algorithm(env, policy, adaptation, config, axis)
