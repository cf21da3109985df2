"""Proximal meta-policy search."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from metarl_jax.checks import require, require_positive
from metarl_jax.gradient_methods import (
    MetaGradientConfig,
    collect_trial,
    inner_loop,
    meta_gradient,
    outer_loss,
    stage_policies,
    stages,
)
from metarl_jax.losses import mean_kl
from metarl_jax.networks import mlp_policy
from metarl_jax.optimizers import ProximalConfig, outer_optimizer
from metarl_jax.task_axis import TaskAxis
from metarl_jax.types import (
    Array,
    Distribution,
    Environment,
    Key,
    MetaAlgorithm,
    MetaObjective,
    Params,
    Rollout,
)

_TOLERANCE = 1.5  # how far KL may be from its target before the coefficient changes
_FACTOR = 2.0  # by which it changes


@dataclasses.dataclass(frozen=True)
class PrompConfig(MetaGradientConfig):
    """Epochs, clip range and penalty are those of Rothfuss et al. (2019)."""

    outer: ProximalConfig = ProximalConfig()
    kl_coefficient: float = 5e-4  # eta, of each adaptation step; 0: no penalty
    target_kl: float = 0.01  # nats; per iteration, of the policies that collected

    def __post_init__(self):
        super().__post_init__()
        require_positive(self, "target_kl", "num_adaptation_steps")
        require(self.kl_coefficient >= 0, "kl_coefficient must be 0 or more")


class PrompState(NamedTuple):
    params: Params
    optimizer_state: Any
    kl_coefficient: Array  # [K]


class PrompEntry(NamedTuple):
    """A trial, and what its steps were collected with."""

    trial: Rollout  # [K+1, T, E]
    old: Distribution  # [K, T, E]; before this iteration's first outer step
    kl_coefficient: Array  # [K]


def promp(env: Environment, config: PrompConfig, axis: TaskAxis) -> MetaAlgorithm:
    """Several clipped outer steps on each batch of trials, near the old policies.

    The inner surrogate is the low-variance one; a penalty holds the policies that
    collect before each adaptation near those that did, so that the stored data
    remains good for adaptation.

    Args:
      env: the environment.
      config: of the learner.
      axis: how to go over tasks.

    Returns:
      The corresponding `MetaAlgorithm`.

    References:
      Rothfuss et al., ProMP: Proximal Meta-Policy Search (2019), section 6 and
      algorithm 1, https://arxiv.org/abs/1810.06784
    """
    policy = mlp_policy(env.observation_space, env.action_space, config.network)
    adaptation = inner_loop(policy, config)
    num_steps = config.num_adaptation_steps
    policies = stage_policies(policy, adaptation, num_steps, first=0)
    objective = _objective(policies, config)
    optimizer = outer_optimizer(config.outer, objective, axis)

    def init(key: Key) -> PrompState:
        params = policy.init(key)
        coefficients = jnp.full(num_steps, config.kl_coefficient)
        return PrompState(params, optimizer.init(params), coefficients)

    def before(params: Params, trial: Rollout) -> Distribution:
        return stages(policies(params, trial), 0, num_steps)

    def stage_kl(params: Params, entry: PrompEntry) -> Array:
        return _stage_kl(entry.old, before(params, entry.trial))

    def as_entries(state: PrompState, trials: Rollout) -> PrompEntry:
        num_tasks = len(trials.reward)
        return PrompEntry(
            trials,
            axis.map(before, state.params, trials),
            jnp.broadcast_to(state.kl_coefficient, (num_tasks, num_steps)),
        )

    def update(key: Key, state: PrompState, trials: Rollout):
        params, optimizer_state, coefficients = state
        entries = as_entries(state, trials)
        params, optimizer_state, metrics = optimizer.update(
            params, optimizer_state, entries
        )
        kl = axis.mean(stage_kl, params, entries)
        metrics |= {"kl": kl, "kl_coefficient": coefficients}
        coefficients = _adapted_coefficients(coefficients, kl, config.target_kl)
        return PrompState(params, optimizer_state, coefficients), metrics

    return MetaAlgorithm(
        init=init,
        adapt=collect_trial(env, policy, adaptation, config),
        update=update,
        policy=policy,
        adaptation=adaptation,
        gradient=meta_gradient(objective, axis, as_entries),
    )


def _objective(policies, config: PrompConfig) -> MetaObjective:
    first, num_steps = config.first_outer_stage, config.num_adaptation_steps
    clipped = outer_loss(config)

    def loss(distributions: Distribution, entry: PrompEntry) -> Array:
        after = clipped(stages(distributions, first), stages(entry.trial, first))
        kl = _stage_kl(entry.old, stages(distributions, 0, num_steps))
        return after + jnp.sum(entry.kl_coefficient * kl)

    return MetaObjective(lambda params, entry: policies(params, entry.trial), loss)


def _stage_kl(old: Distribution, new: Distribution) -> Array:
    """The mean KL of each stage before an adaptation, [K]."""
    return jax.vmap(mean_kl)(old, new)


def _adapted_coefficients(coefficient: Array, kl: Array, target: float) -> Array:
    lowered = jnp.where(kl < target / _TOLERANCE, coefficient / _FACTOR, coefficient)
    return jnp.where(kl > target * _TOLERANCE, coefficient * _FACTOR, lowered)
