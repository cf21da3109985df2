"""Meta-SGD: the step size of each parameter is learned too."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metarl_jax.gradient_methods import (
    MetaGradientConfig,
    inner_loop,
    inner_sgd,
    meta_gradient_algorithm,
)
from metarl_jax.networks import mlp_policy
from metarl_jax.task_axis import TaskAxis
from metarl_jax.types import (
    Adaptation,
    AdaptState,
    Environment,
    Key,
    MetaAlgorithm,
    Params,
)


@dataclasses.dataclass(frozen=True)
class MetaSgdConfig(MetaGradientConfig):
    """As MAML's; `inner_step_sizes` are what learned factors multiply."""


class MetaSgdParams(NamedTuple):
    policy: Params
    factors: Params  # of the step of each parameter, of either sign; they start at 1


def meta_sgd(env: Environment, config: MetaSgdConfig, axis: TaskAxis) -> MetaAlgorithm:
    """Learns where inner gradient steps start, and how far each parameter goes.

    theta' = theta - alpha_k * factors * grad L(theta; D_k), factors elementwise; with
    one step size alpha_k the product is the alpha of the paper.

    Args:
      env: the environment.
      config: of the learner.
      axis: how to go over tasks.

    Returns:
      The corresponding `MetaAlgorithm`.

    References:
      Li et al., Meta-SGD: Learning to Learn Quickly for Few-Shot Learning (2017),
      equation 2 and algorithm 2, https://arxiv.org/abs/1707.09835
    """
    policy = mlp_policy(env.observation_space, env.action_space, config.network)
    sgd = inner_sgd(config)
    inner = inner_loop(policy, config, _with_factors(sgd))

    def init(key: Key) -> MetaSgdParams:
        params = policy.init(key)
        return MetaSgdParams(params, jax.tree.map(jnp.ones_like, params))

    def start(meta_params: MetaSgdParams) -> AdaptState:
        params, factors = meta_params
        return AdaptState(params, _FactorState(factors, sgd.init(params)))

    adaptation = Adaptation(start, inner.update)
    return meta_gradient_algorithm(env, policy, adaptation, config, axis, init)


class _FactorState(NamedTuple):
    factors: Params
    optimizer_state: Any


def _with_factors(
    optimizer: optax.GradientTransformation,
) -> optax.GradientTransformation:
    """The updates of `optimizer`, times the factors in the state."""

    def update(gradient: Params, state: _FactorState, params: Params):
        updates, inner_state = optimizer.update(gradient, state.optimizer_state, params)
        updates = jax.tree.map(jnp.multiply, state.factors, updates)
        return updates, _FactorState(state.factors, inner_state)

    def init(params: Params) -> _FactorState:
        factors = jax.tree.map(jnp.ones_like, params)
        return _FactorState(factors, optimizer.init(params))

    return optax.GradientTransformation(init, update)
