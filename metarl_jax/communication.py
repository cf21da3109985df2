"""What a program sends between devices, counted, and how long that would take."""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn


class Reduction(NamedTuple):
    """An all-reduce: a sum over devices, of which each gets a copy."""

    num_bytes: int  # of the sum
    count: int  # how often it runs


class Network(NamedTuple):
    """Assumptions about what connects the devices."""

    bytes_per_second: float  # that one device sends, and at the same time receives
    latency: float  # seconds from one device to the next


def reductions(program: Callable, *arguments: Any) -> list[Reduction]:
    """The all-reduces that a program asks for, in order.

    A loop whose length is known counts as often as it runs and any other, such as a
    line search, once; of two branches, the one that sends more counts.

    Args:
      program: with a `TaskAxis` of at least two devices in it.
      *arguments: arrays, or their shapes.
    """
    return list(_of_jaxpr(jax.make_jaxpr(program)(*arguments).jaxpr, 1))


def bytes_sent(all_reduces: list[Reduction], num_devices: int) -> float:
    """What each device sends: 2 (n - 1) / n times each sum, by a ring.

    References:
      Patarasuk and Yuan, Bandwidth Optimal All-reduce Algorithms for Clusters of
      Workstations (2009), https://doi.org/10.1016/j.jpdc.2008.09.002
    """
    total = sum(reduction.num_bytes * reduction.count for reduction in all_reduces)
    return 2 * (num_devices - 1) / num_devices * total


def seconds(all_reduces: list[Reduction], num_devices: int, network: Network) -> float:
    """The time of all-reduces one after another, with nothing to hide it behind.

    The bytes of a ring at full bandwidth, and the latency of a binary tree there and
    back, as libraries choose for small sums: a little less than can be had of either.
    """
    hops = 2 * math.ceil(math.log2(num_devices))
    waiting = hops * network.latency * sum(each.count for each in all_reduces)
    return waiting + bytes_sent(all_reduces, num_devices) / network.bytes_per_second


def _of_jaxpr(jaxpr: Jaxpr, times: int) -> Iterator[Reduction]:
    for equation in jaxpr.eqns:
        if equation.primitive.name.startswith("psum"):
            yield Reduction(sum(map(_num_bytes, equation.invars)), times)
            continue
        repeats = times * equation.params.get("length", 1)  # of a scan
        parts = [list(_of_jaxpr(part, repeats)) for part in _parts(equation)]
        if equation.primitive.name == "cond":
            parts = [max(parts, key=lambda part: bytes_sent(part, 2))]
        for part in parts:
            yield from part


def _parts(equation: JaxprEqn) -> Iterator[Jaxpr]:
    """The programs inside an operation: bodies of loops, branches, calls."""
    for value in equation.params.values():
        for part in value if isinstance(value, list | tuple) else [value]:
            if isinstance(part, ClosedJaxpr):
                yield part.jaxpr
            elif isinstance(part, Jaxpr):
                yield part


def _num_bytes(variable: Any) -> int:
    return variable.aval.size * variable.aval.dtype.itemsize
