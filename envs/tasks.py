"""Distributions over tasks."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple


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
