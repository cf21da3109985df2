"""Evaluates a program of one robot for N robots, on arrays [..., N].

The operations of a jaxpr, one by one: those that `_RULES` names as told there, all
others as `jax.vmap` does, which leaves the batch where it is if an operation is
elementwise.
"""

import functools
import math
import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend import core

_SHORT = 8  # entries that are summed one after the other, not by a loop


class _Batch(NamedTuple):
    values: jax.Array  # [..., N]


def evaluate(
    traced: core.ClosedJaxpr,
    arguments: Sequence[Any],
    is_batched: Sequence[bool],
    size: int,
) -> list[jax.Array]:
    """Runs a program for N robots at once.

    Args:
      traced: the program of one.
      arguments: its arguments, [..., N] where they differ between robots.
      is_batched: which of them do.
      size: N.

    Returns:
      All results, [..., N].
    """
    values = [
        _Batch(argument) if batched else argument
        for argument, batched in zip(arguments, is_batched, strict=True)
    ]
    return [_full(result, size) for result in _run(traced, values, size)]


def _run(traced, arguments, size):
    """The results, of which those are batches that depend on one."""
    known = dict(zip(traced.jaxpr.constvars, traced.consts, strict=True))
    known |= zip(traced.jaxpr.invars, arguments, strict=True)
    read = lambda var: var.val if isinstance(var, core.Literal) else known[var]
    for equation in traced.jaxpr.eqns:
        values = [read(var) for var in equation.invars]
        known |= zip(equation.outvars, _apply(equation, values, size), strict=True)
    return [read(var) for var in traced.jaxpr.outvars]


def _apply(equation, values, size):
    name = equation.primitive.name
    if name in _CALLS:
        return _run(equation.params[_CALLS[name]], values, size)
    if not any(isinstance(value, _Batch) for value in values):
        return _listed(equation, equation.primitive.bind(*values, **equation.params))
    return _RULES.get(name, _by_vmap)(equation, values, size)


def _by_vmap(equation, values, size):
    """Any operation; if it is elementwise, the batch stays where it is."""
    shapes = {var.aval.shape for var in equation.invars}
    if len(shapes) == 1 and not equation.primitive.multiple_results:
        values = [_Batch(_full(value, size)) for value in values]
    axes = [-1 if isinstance(value, _Batch) else None for value in values]
    arrays = [value.values if isinstance(value, _Batch) else value for value in values]
    bind = functools.partial(equation.primitive.bind, **equation.params)
    results = _listed(equation, jax.vmap(bind, axes, -1)(*arrays))
    return list(map(_Batch, results))


def _listed(equation, results):
    return results if equation.primitive.multiple_results else [results]


def _full(value, size):
    """[..., N], also of what is the same for all robots."""
    if isinstance(value, _Batch):
        return value.values
    return jnp.broadcast_to(jnp.asarray(value)[..., None], (*jnp.shape(value), size))


def _on_arrays(function):
    """A rule that takes arrays [..., N] and gives one."""

    def rule(equation, values, size):
        arrays = [_full(value, size) for value in values]
        return [_Batch(function(equation, *arrays))]

    return rule


@_on_arrays
def _elementwise(equation, *arrays):
    """Where a scalar may stand for an array."""
    shape = (*equation.outvars[0].aval.shape, arrays[0].shape[-1])
    arrays = [jnp.broadcast_to(array, shape) for array in arrays]
    return equation.primitive.bind(*arrays, **equation.params)


@_on_arrays
def _broadcast_in_dim(equation, array):
    shape, axes = equation.params["shape"], equation.params["broadcast_dimensions"]
    shape = (*shape, array.shape[-1])
    return lax.broadcast_in_dim(array, shape, (*axes, len(shape) - 1))


@_on_arrays
def _reshape(equation, array):
    order = equation.params["dimensions"] or range(array.ndim - 1)
    array = array.transpose(*order, array.ndim - 1)
    return array.reshape(*equation.params["new_sizes"], array.shape[-1])


@_on_arrays
def _squeeze(equation, array):
    return lax.squeeze(array, equation.params["dimensions"])


@_on_arrays
def _transpose(equation, array):
    return array.transpose(*equation.params["permutation"], array.ndim - 1)


@_on_arrays
def _concatenate(equation, *arrays):
    return lax.concatenate(arrays, equation.params["dimension"])


def _reduction(combine):
    """Along short axes without a loop of its own, which XLA would not fuse."""

    @_on_arrays
    def rule(equation, array):
        axes = equation.params["axes"]
        if 0 < math.prod(array.shape[axis] for axis in axes) <= _SHORT:
            return functools.reduce(combine, _entries(array, axes))
        return equation.primitive.bind(array, **equation.params)

    return rule


def _dot_general(equation, values, size):
    (summed, _), _ = equation.params["dimension_numbers"]
    length = math.prod(equation.invars[0].aval.shape[axis] for axis in summed)
    rule = _sum_of_products if 0 < length <= _SHORT else _by_vmap
    return rule(equation, values, size)


@_on_arrays
def _sum_of_products(equation, left, right):
    sums, same = equation.params["dimension_numbers"]
    dtype = equation.outvars[0].aval.dtype
    left, right = left.astype(dtype), right.astype(dtype)
    left_own, right_own = (
        [axis for axis in range(array.ndim - 1) if axis not in (*summed, *shared)]
        for array, summed, shared in zip((left, right), sums, same, strict=True)
    )
    left = left.transpose(*sums[0], *same[0], *left_own, left.ndim - 1)
    right = right.transpose(*sums[1], *same[1], *right_own, right.ndim - 1)
    left = jnp.expand_dims(left, [left.ndim - 1 + i for i in range(len(right_own))])
    first_own = len(sums[1]) + len(same[1])
    right = jnp.expand_dims(right, [first_own + i for i in range(len(left_own))])
    axes = range(len(sums[0]))
    products = map(operator.mul, _entries(left, axes), _entries(right, axes))
    return functools.reduce(operator.add, products)


def _entries(array, axes):
    """The slices of an array along all of some axes."""
    array = jnp.moveaxis(array, axes, range(len(axes)))
    number = math.prod(array.shape[: len(axes)])
    return array.reshape(number, *array.shape[len(axes) :])


def _gather(equation, values, size):
    array, indices = values
    if isinstance(indices, _Batch):
        return _by_vmap(equation, values, size)
    params = dict(equation.params)
    numbers = params["dimension_numbers"]
    last = len(equation.outvars[0].aval.shape)
    params["dimension_numbers"] = numbers._replace(
        offset_dims=(*numbers.offset_dims, last)
    )
    params["slice_sizes"] = (*params["slice_sizes"], size)
    return [_Batch(equation.primitive.bind(array.values, indices, **params))]


def _scatter(equation, values, size):
    array, indices, updates = values
    if isinstance(indices, _Batch):
        return _by_vmap(equation, values, size)
    numbers = equation.params["dimension_numbers"]
    last = len(equation.invars[2].aval.shape)
    numbers = numbers._replace(update_window_dims=(*numbers.update_window_dims, last))
    params = equation.params | {"dimension_numbers": numbers}
    array, updates = _full(array, size), _full(updates, size)
    return [_Batch(equation.primitive.bind(array, indices, updates, **params))]


def _scan(equation, values, size):
    params = equation.params
    num_fixed, num_carried = params["num_consts"], params["num_carry"]
    flags = _batched_carries(equation, values)
    fixed, values = values[:num_fixed], values[num_fixed:]
    carried, rows = values[:num_carried], values[num_carried:]
    as_batches = lambda values: [
        _Batch(_full(value, size)) if flag else value
        for value, flag in zip(values, flags, strict=True)
    ]

    def body(carried, row):  # of a batch, which is a pytree, a row is a batch again
        results = _run(params["jaxpr"], [*fixed, *carried, *row], size)
        return as_batches(results[:num_carried]), results[num_carried:]

    options = {name: params[name] for name in ("length", "reverse", "unroll")}
    carried, rows = lax.scan(body, as_batches(carried), rows, **options)
    return [*carried, *rows]


def _batched_carries(equation, values):
    """Which of the values that a scan carries will differ between robots."""
    params = equation.params
    first = params["num_consts"]
    last = first + params["num_carry"]
    flags = [isinstance(value, _Batch) for value in values]
    while True:
        after = _batched_results(params["jaxpr"], flags)[: last - first]
        carried = list(map(operator.or_, flags[first:last], after))
        if carried == flags[first:last]:
            return carried
        flags[first:last] = carried


def _batched_results(traced, flags):
    """Which results of a program depend on the arguments that have a flag."""
    batched = {
        var for var, flag in zip(traced.jaxpr.invars, flags, strict=True) if flag
    }
    is_batched = lambda var: not isinstance(var, core.Literal) and var in batched
    for equation in traced.jaxpr.eqns:
        flags = list(map(is_batched, equation.invars))
        if equation.primitive.name in _CALLS:
            inner = equation.params[_CALLS[equation.primitive.name]]
            flags = _batched_results(inner, flags)
        else:
            flags = [any(flags)] * len(equation.outvars)
        batched |= {
            var for var, flag in zip(equation.outvars, flags, strict=True) if flag
        }
    return list(map(is_batched, traced.jaxpr.outvars))


# of functions that are called: where the program of the function is
_CALLS = {
    "jit": "jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
}
# operations of several arrays, of which each may be a scalar
_ELEMENTWISE = (
    "add and atan2 clamp div eq ge gt le lt max min mul ne or pow rem select_n sub xor"
)
# operation -> `(equation, values, size) -> values`, each a batch or the same for all
_RULES = dict.fromkeys(_ELEMENTWISE.split(), _elementwise) | {
    "broadcast_in_dim": _broadcast_in_dim,
    "concatenate": _concatenate,
    "dot_general": _dot_general,
    "gather": _gather,
    "reduce_and": _reduction(operator.and_),
    "reduce_max": _reduction(jnp.maximum),
    "reduce_min": _reduction(jnp.minimum),
    "reduce_or": _reduction(operator.or_),
    "reduce_sum": _reduction(operator.add),
    "reshape": _reshape,
    "scan": _scan,
    "scatter": _scatter,
    "scatter-add": _scatter,
    "squeeze": _squeeze,
    "transpose": _transpose,
}
