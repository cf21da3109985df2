"""Outer loops: how meta-parameters improve with the trials of many tasks."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import optax

from metarl_jax.checks import require, require_fraction, require_positive
from metarl_jax.surrogates import Surrogate, clipped, likelihood_ratio
from metarl_jax.task_axis import TaskAxis
from metarl_jax.trust_region import TrustRegionConfig, trust_region
from metarl_jax.types import Array, MetaObjective, OuterOptimizer, Params


@dataclasses.dataclass(frozen=True)
class AdamConfig:
    """Adam on the meta-gradient, clipped to a largest global norm."""

    learning_rate: float = 1e-3
    # the learning rate falls linearly over this many iterations; 0: it stays
    decay_iterations: int = 0
    final_fraction: float = 0.0  # of the learning rate, to which it falls if it does
    max_gradient_norm: float = 0.5

    def __post_init__(self):
        require_positive(self, "learning_rate", "max_gradient_norm")
        require(self.decay_iterations >= 0, "decay_iterations must be 0 or more")
        require_fraction(self, "final_fraction")

    @property
    def surrogate(self) -> Surrogate:
        """Of the outer loss."""
        return likelihood_ratio

    @property
    def steps_per_iteration(self) -> int:
        """Optimiser steps of a meta-iteration."""
        return 1


@dataclasses.dataclass(frozen=True)
class ProximalConfig(AdamConfig):
    """Several steps of Adam on the same trials, with clipped likelihood ratios.

    References:
      Schulman et al., Proximal Policy Optimization Algorithms (2017),
      https://arxiv.org/abs/1707.06347
    """

    num_epochs: int = 5
    clip_range: float = 0.3  # epsilon

    def __post_init__(self):
        super().__post_init__()
        require_positive(self, "num_epochs", "clip_range")

    @property
    def surrogate(self) -> Surrogate:
        """Of the outer loss."""
        return partial(clipped, clip_range=self.clip_range)

    @property
    def steps_per_iteration(self) -> int:
        """Optimiser steps of a meta-iteration."""
        return self.num_epochs


OuterConfig = AdamConfig | ProximalConfig | TrustRegionConfig


def outer_optimizer(
    config: OuterConfig, objective: MetaObjective, axis: TaskAxis
) -> OuterOptimizer:
    """The optimiser that `config` describes."""
    return _FACTORIES[type(config)](objective, axis, config)


def adam(
    objective: MetaObjective, axis: TaskAxis, config: AdamConfig
) -> OuterOptimizer:
    """As many steps of Adam on the meta-gradient as `config` says."""
    optimizer = gradient_descent(objective, axis, adam_chain(config))
    return repeated(optimizer, config.steps_per_iteration)


def adam_chain(config: AdamConfig) -> optax.GradientTransformation:
    """Adam with clipped gradients and, if it decays, a falling learning rate."""
    learning_rate = config.learning_rate
    if config.decay_iterations:
        num_steps = config.decay_iterations * config.steps_per_iteration
        final_rate = config.final_fraction * learning_rate
        learning_rate = optax.linear_schedule(learning_rate, final_rate, num_steps)
    return optax.chain(
        optax.clip_by_global_norm(config.max_gradient_norm),
        optax.adam(learning_rate, eps=1e-5),
    )


def gradient_descent(
    objective: MetaObjective, axis: TaskAxis, optimizer: optax.GradientTransformation
) -> OuterOptimizer:
    """Follows the meta-gradient, the mean over tasks, by any optax optimiser."""
    loss_and_gradient = mean_loss_and_gradient(objective, axis)

    def update(params: Params, state: Any, trials: Any):
        loss, gradient = loss_and_gradient(params, trials)
        updates, state = optimizer.update(gradient, state, params)
        metrics = {"outer_loss": loss, "gradient_norm": optax.tree.norm(gradient)}
        return optax.apply_updates(params, updates), state, metrics

    return OuterOptimizer(optimizer.init, update)


def mean_loss_and_gradient(
    objective: MetaObjective, axis: TaskAxis
) -> Callable[[Params, Any], tuple[Array, Params]]:
    """`(params, trials or entries [N, ...]) -> (loss, gradient)`, means over tasks."""
    return partial(axis.mean, jax.value_and_grad(objective.value))


def repeated(optimizer: OuterOptimizer, num_times: int) -> OuterOptimizer:
    """Several updates on the same trials; the metrics are those of the first."""
    if num_times == 1:
        return optimizer

    def update(params: Params, state: Any, trials: Any):
        def epoch(carry, _):
            *carry, metrics = optimizer.update(*carry, trials)
            return tuple(carry), metrics

        (params, state), metrics = jax.lax.scan(
            epoch, (params, state), length=num_times
        )
        return params, state, jax.tree.map(lambda values: values[0], metrics)

    return OuterOptimizer(optimizer.init, update)


_FACTORIES = {
    AdamConfig: adam,
    ProximalConfig: adam,
    TrustRegionConfig: trust_region,
}
