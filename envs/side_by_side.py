"""`vmap` with the batch in the last axis, in which XLA's loops run.

`jax.vmap` puts a batch of N robots first, [N, ...]. The last axis is then one of three
coordinates or seven bodies: too short for the vector units of a processor, and products
along it become calls of a library for matrices. With [..., N] every operation is one
long loop over robots.
"""

import functools
import math
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap

from envs import last_axis


def side_by_side(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, which under `vmap` has its batch in the last axis.

    Results are those of `vmap` but for the order of sums, and all have the batch.
    Nested `vmap`s are one axis. Derivatives are those of `function`, by `vmap`.

    Args:
      function: of arrays, for one robot; no random keys. Jitted, it is traced once.
    """

    @custom_vmap
    def one(*arguments):
        return function(*arguments)

    @one.def_vmap
    def one_under_vmap(size, is_batched, *arguments):
        leaves, structure = jax.tree.flatten(arguments)
        flags = tuple(jax.tree.leaves(is_batched))
        moved = [
            jnp.moveaxis(leaf, 0, -1) if flag else leaf
            for leaf, flag in zip(leaves, flags, strict=True)
        ]
        results = _many(function, structure, flags, size)(*moved)
        return _moved(lambda leaf: jnp.moveaxis(leaf, -1, 0), results)

    differentiable = jax.custom_jvp(one)
    differentiable.defjvp(lambda *dual: jax.jvp(function, *dual))
    return differentiable


@functools.lru_cache(maxsize=64)
def _many(function, structure, flags, size):
    """Makes `function` of leaves [..., N] where there is a flag, N = `size`."""

    @custom_vmap
    @jax.jit
    def many(*leaves):
        one = [_of_one(leaf, flag) for leaf, flag in zip(leaves, flags, strict=True)]
        trace = jax.make_jaxpr(function, return_shape=True)
        traced, results = trace(*jax.tree.unflatten(structure, one))
        leaves = last_axis.evaluate(traced, leaves, flags, size)
        return jax.tree.unflatten(jax.tree.structure(results), leaves)

    @many.def_vmap
    def many_under_vmap(outer_size, is_batched, *leaves):
        sizes = outer_size, size
        merged = [
            _merged(leaf, outer, inner, sizes)
            for leaf, outer, inner in zip(leaves, is_batched, flags, strict=True)
        ]
        either = tuple(map(operator.or_, flags, is_batched))
        results = _many(function, structure, either, outer_size * size)(*merged)
        return _moved(lambda leaf: _split(leaf, sizes), results)

    return many


def _of_one(leaf, is_batched):
    kind = jax.typeof(leaf)
    shape = kind.shape[:-1] if is_batched else kind.shape
    return jax.ShapeDtypeStruct(shape, kind.dtype, weak_type=kind.weak_type)


def _merged(leaf, is_outer, is_inner, sizes):
    """[outer, ..., inner], of which one may be missing, to [..., outer * inner]."""
    if not (is_outer or is_inner):
        return leaf
    leaf = leaf if is_inner else leaf[..., None]
    leaf = jnp.moveaxis(leaf, 0, -2) if is_outer else leaf[..., None, :]
    leaf = jnp.broadcast_to(leaf, (*leaf.shape[:-2], *sizes))
    return leaf.reshape(*leaf.shape[:-2], math.prod(sizes))


def _split(leaf, sizes):
    """[..., outer * inner] to [outer, ..., inner]."""
    return jnp.moveaxis(leaf.reshape(*leaf.shape[:-1], *sizes), -2, 0)


def _moved(move, results):
    """The results of a rule of `custom_vmap`, and that all of them have the batch."""
    return jax.tree.map(move, results), jax.tree.map(lambda _: True, results)
