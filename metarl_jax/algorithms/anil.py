"""Almost no inner loop: only the last layer adapts."""

import dataclasses

import jax
import optax

from metarl_jax.gradient_methods import (
    MetaGradientConfig,
    inner_loop,
    inner_sgd,
    meta_gradient_algorithm,
)
from metarl_jax.networks import is_hidden, mlp_policy
from metarl_jax.task_axis import TaskAxis
from metarl_jax.types import Environment, MetaAlgorithm, Params


@dataclasses.dataclass(frozen=True)
class AnilConfig(MetaGradientConfig):
    """As MAML's."""


def anil(env: Environment, config: AnilConfig, axis: TaskAxis) -> MetaAlgorithm:
    """MAML whose hidden layers are the same for all tasks.

    The head that adapts is the output layer and, for continuous actions, the spread.

    Args:
      env: the environment.
      config: of the learner.
      axis: how to go over tasks.

    Returns:
      The corresponding `MetaAlgorithm`.

    References:
      Raghu et al., Rapid Learning or Feature Reuse? (2020), section 4,
      https://arxiv.org/abs/1909.09157
    """
    policy = mlp_policy(env.observation_space, env.action_space, config.network)
    parts = {"body": optax.set_to_zero(), "head": inner_sgd(config)}
    adaptation = inner_loop(policy, config, optax.multi_transform(parts, _part))
    return meta_gradient_algorithm(env, policy, adaptation, config, axis)


def _part(params: Params) -> Params:
    label = lambda path, _: "body" if is_hidden(path) else "head"
    return jax.tree_util.tree_map_with_path(label, params)
