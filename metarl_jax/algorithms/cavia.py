"""Fast context adaptation: only a context vector, an input of the policy, adapts."""

import dataclasses

import jax.numpy as jnp

from metarl_jax.checks import require_positive
from metarl_jax.conditioning import Concatenation, conditioned_policy, context_policy
from metarl_jax.gradient_methods import (
    MetaGradientConfig,
    context_loop,
    meta_gradient_algorithm,
)
from metarl_jax.task_axis import TaskAxis
from metarl_jax.types import Adaptation, AdaptState, Environment, MetaAlgorithm, Params


@dataclasses.dataclass(frozen=True)
class CaviaConfig(MetaGradientConfig):
    """As MAML's, and the length of the context.

    Inner steps are long, since a context has few numbers: Zintgraf et al. use 1.0.
    """

    context_size: int = 5
    inner_step_sizes: tuple[float, ...] = (1.0,)

    def __post_init__(self):
        super().__post_init__()
        require_positive(self, "context_size")


def cavia(env: Environment, config: CaviaConfig, axis: TaskAxis) -> MetaAlgorithm:
    """Learns a policy with a context input, which starts at zero in every task.

    Args:
      env: the environment.
      config: of the learner.
      axis: how to go over tasks.

    Returns:
      The corresponding `MetaAlgorithm`, whose meta-parameters are the shared ones.

    References:
      Zintgraf et al., Fast Context Adaptation via Meta-Learning (2019), section 3,
      https://arxiv.org/abs/1810.03642
    """
    size = config.context_size
    spaces = env.observation_space, env.action_space
    network = conditioned_policy(*spaces, config.network, Concatenation(), size)
    policy = context_policy(network, size)
    inner = context_loop(policy, config)

    def init(shared: Params) -> AdaptState:
        return inner.init({"shared": shared, "context": jnp.zeros(size)})

    adaptation = Adaptation(init, inner.update)
    shared_init = lambda key: policy.init(key)["shared"]
    return meta_gradient_algorithm(env, policy, adaptation, config, axis, shared_init)
