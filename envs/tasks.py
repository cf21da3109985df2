"""Distributions over tasks."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
from jax.flatten_util import ravel_pytree


class TaskDistribution(NamedTuple):
    """p(T): where tasks come from, for training and for each kind of test.

    A sampler draws one task, a pytree of arrays, from a key; batch it with `jax.vmap`.
    """

    train: Callable[[Any], Any]
    test: Callable[[Any], Any]
    # outside the range of training; None where the family has no natural outside
    ood: Callable[[Any], Any] | None = None
    # named sets of the literature: () -> a batch of tasks, leaves [M, ...]
    fixed: Mapping[str, Callable[[], Any]] = MappingProxyType({})


def uniform(low: Any, high: Any) -> Callable[[Any], Any]:
    """A sampler of tasks whose parameters are independent and uniform.

    Args:
      low: the least value of each parameter; a task, its leaves numbers.
      high: the greatest values, likewise.

    Returns:
      `key -> task`, of the structure of `low`, its leaves arrays.
    """

    def sample(key):
        flat_low, unravel = ravel_pytree(low)
        flat_high, _ = ravel_pytree(high)
        flat = jax.random.uniform(
            key, flat_low.shape, flat_low.dtype, flat_low, flat_high
        )
        return unravel(flat)

    return sample


def with_either_sign(
    sample: Callable[[Any], Any], parameter: str
) -> Callable[[Any], Any]:
    """The tasks of `sample`, a NamedTuple, with a random sign on one parameter."""

    def signed(key):
        task_key, sign_key = jax.random.split(key)
        task = sample(task_key)
        value = getattr(task, parameter)
        sign = jax.random.rademacher(sign_key, value.shape, value.dtype)
        return task._replace(**{parameter: sign * value})

    return signed
