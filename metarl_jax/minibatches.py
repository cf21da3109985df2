"""Descent on minibatches of tasks, several times over the same data."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metarl_jax.checks import require, require_positive
from metarl_jax.optimizers import AdamConfig, adam_chain
from metarl_jax.task_axis import TaskAxis, largest_divisor
from metarl_jax.types import Array, Key, Metrics, Params

# (params, entries [B, ...]) -> (scalar, metrics): means over the B tasks of a batch
BatchLoss = Callable[[Params, Any], tuple[Array, Metrics]]


@dataclasses.dataclass(frozen=True)
class MinibatchConfig(AdamConfig):
    """Steps of Adam, each on a part of the tasks."""

    num_epochs: int = 4
    num_minibatches: int = 4

    def __post_init__(self):
        super().__post_init__()
        require_positive(self, "num_epochs", "num_minibatches")

    @property
    def steps_per_iteration(self) -> int:
        """Optimiser steps of a meta-iteration."""
        return self.num_epochs * self.num_minibatches


class MinibatchDescent(NamedTuple):
    """Improves parameters on entries of N tasks, [N, ...]."""

    init: Callable[[Params], Any]
    # (key, params, state, entries) -> (params, state, metrics)
    update: Callable[[Key, Params, Any, Any], tuple[Params, Any, Metrics]]


def minibatch_descent(
    loss: BatchLoss, config: MinibatchConfig, axis: TaskAxis
) -> MinibatchDescent:
    """Adam on a loss of batches of tasks.

    Each device takes the gradient of its part of a minibatch as a whole. That of one
    task at a time would be a matrix for each task and weight.

    Args:
      loss: of a batch.
      config: steps and sizes; the minibatches are drawn anew in each epoch.
      axis: of tasks; says on how many devices.

    Returns:
      The corresponding `MinibatchDescent`; its metrics are means over all steps.
    """
    optimizer = adam_chain(config)
    loss_and_gradient = jax.value_and_grad(loss, has_aux=True)

    def step(carry: tuple[Params, Any], minibatch: Any):
        params, state = carry
        (total, metrics), gradient = axis.mean(
            loss_and_gradient, params, groups(minibatch, axis.num_devices)
        )
        updates, state = optimizer.update(gradient, state, params)
        metrics |= {"outer_loss": total, "gradient_norm": optax.tree.norm(gradient)}
        return (optax.apply_updates(params, updates), state), metrics

    def update(key: Key, params: Params, state: Any, entries: Any):
        def epoch(carry: tuple[Params, Any], key: Key):
            return jax.lax.scan(step, carry, _shuffled(key, entries, config))

        keys = jax.random.split(key, config.num_epochs)
        (params, state), metrics = jax.lax.scan(epoch, (params, state), keys)
        return params, state, jax.tree.map(jnp.mean, metrics)

    return MinibatchDescent(optimizer.init, update)


def _shuffled(key: Key, entries: Any, config: MinibatchConfig) -> Any:
    """Entries [N, ...] in random order, as minibatches [num_minibatches, B, ...]."""
    num_tasks = jax.tree.leaves(entries)[0].shape[0]
    num_minibatches = config.num_minibatches
    require(
        num_tasks % num_minibatches == 0,
        f"num_minibatches must divide the {num_tasks} tasks, not {num_minibatches}: "
        "choose another num_minibatches or num_tasks",
    )
    order = jax.random.permutation(key, num_tasks).reshape(num_minibatches, -1)
    return jax.tree.map(lambda leaf: leaf[order], entries)


def groups(batch: Any, num_groups: int) -> Any:
    """Splits a batch [B, ...] evenly, [G, B / G, ...]; G as near as divides B.

    The gradient of a group is one gradient, where that of single tasks would be one
    for each of them.
    """
    size = jax.tree.leaves(batch)[0].shape[0]
    num_groups = largest_divisor(size, num_groups)
    split = lambda leaf: leaf.reshape(num_groups, -1, *leaf.shape[1:])
    return jax.tree.map(split, batch)
