"""Derivatives of gradients: products with the Hessian, in the cheaper order."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero
from jax.extend.core import ClosedJaxpr, Primitive, jaxpr_as_fun
from jax.interpreters import ad, batching, mlir

from metarl_jax.types import Array, Params


def gradient(loss: Callable[..., Any]) -> Callable[..., Params]:
    """`jax.grad(loss)`, whose own derivative is faster.

    JAX derives a gradient backwards through its backward pass. Since a Hessian is
    symmetric, the derivative of a gradient is its own transpose: both are here the
    derivative forwards through the backward pass, linearised once, in forward and in
    reverse mode and to any order.

    Args:
      loss: `(params, *data) -> scalar`; may close over arrays, also traced ones.

    Returns:
      `(params, *data) -> gradient`.

    References:
      Pearlmutter, Fast Exact Multiplication by the Hessian (1994),
      https://doi.org/10.1162/neco.1994.6.1.147
    """

    def slope(params: Params, *data: Any) -> Params:
        leaves, structure = jax.tree.flatten((params, *data))
        of_leaves = lambda *leaves: loss(*jax.tree.unflatten(structure, leaves))
        jaxpr, constants = _close(jax.make_jaxpr(of_leaves)(*leaves))
        closed = lambda params, constants, *data: jaxpr(
            constants, *jax.tree.leaves((params, *data))
        )
        return _slope(closed)(params, constants, *data)

    return slope


def _close(jaxpr: ClosedJaxpr) -> tuple[Callable, list]:
    """`(fn, constants)`: `fn(constants, *arguments)` closes over nothing."""

    def fn(constants: list, *arguments: Array) -> Array:
        return jaxpr_as_fun(ClosedJaxpr(jaxpr.jaxpr, constants))(*arguments)[0]

    return fn, list(jaxpr.consts)


def _slope(loss: Callable[..., Any]) -> Callable[..., Params]:
    """`gradient`, of a loss that closes over nothing, as `jax.custom_jvp` asks for."""
    slope = jax.custom_jvp(jax.grad(loss))

    def derivative(primals: Sequence, tangents: Sequence) -> tuple[Params, Params]:
        (params, *data), (vector, *change) = primals, tangents
        of_params = lambda params: jax.grad(loss)(params, *data)
        slopes, hessian = jax.linearize(of_params, params)
        total = symmetric_product(hessian, _instantiate(vector))
        if not all(isinstance(leaf, SymbolicZero) for leaf in jax.tree.leaves(change)):
            of_data = lambda *data: jax.grad(loss)(params, *data)
            more = jax.jvp(of_data, tuple(data), tuple(_instantiate(change)))[1]
            total = jax.tree.map(jnp.add, total, more)
        return slopes, total

    slope.defjvp(derivative, symbolic_zeros=True)
    return slope


def _instantiate(tangents: Any) -> Any:
    return jax.tree.map(
        lambda leaf: (
            np.zeros(leaf.shape, leaf.dtype) if isinstance(leaf, SymbolicZero) else leaf
        ),
        tangents,
    )


def symmetric_product(product: Callable[[Params], Params], vector: Params) -> Params:
    """`product(vector)`, for the product with a matrix that is known to be symmetric.

    Differentiated backwards it is applied once more, where JAX would transpose it.

    Args:
      product: linear, and a pytree of what it depends on, as `jax.linearize` gives.
      vector: a pytree of arrays.
    """
    residuals, rebuild = jax.tree.flatten(product)
    leaves, structure = jax.tree.flatten(vector)

    def flat(*arguments: Array) -> list[Array]:
        product = jax.tree.unflatten(rebuild, arguments[: len(residuals)])
        vector = jax.tree.unflatten(structure, arguments[len(residuals) :])
        return jax.tree.leaves(product(vector))

    arguments = *residuals, *leaves
    jaxpr = jax.make_jaxpr(flat)(*arguments)
    return jax.tree.unflatten(structure, _product.bind(*arguments, jaxpr=jaxpr))


# (*residuals, *vector) -> product, which has the shapes of the vector
_product = Primitive("symmetric_product")
_product.multiple_results = True


def _evaluate(*arguments: Array, jaxpr: ClosedJaxpr) -> Sequence[Array]:
    return jaxpr_as_fun(jaxpr)(*arguments)


def _differentiate(primals: Sequence, tangents: Sequence, jaxpr: ClosedJaxpr):
    """The product rule; that the residuals change is left to JAX."""
    count = len(primals) - len(jaxpr.out_avals)
    residuals, vector = primals[:count], primals[count:]
    direction = map(ad.instantiate_zeros, tangents[count:])
    change = _product.bind(*residuals, *direction, jaxpr=jaxpr)
    if not all(type(tangent) is ad.Zero for tangent in tangents[:count]):
        direction = tuple(map(ad.instantiate_zeros, tangents[:count]))
        of_residuals = lambda *residuals: jaxpr_as_fun(jaxpr)(*residuals, *vector)
        more = jax.jvp(of_residuals, residuals, direction)[1]
        change = list(map(jnp.add, change, more))
    return _product.bind(*primals, jaxpr=jaxpr), change


def _transpose(cotangents: Sequence, *arguments: Any, jaxpr: ClosedJaxpr) -> list:
    residuals = arguments[: len(arguments) - len(cotangents)]
    vector = map(ad.instantiate_zeros, cotangents)
    return [None] * len(residuals) + _product.bind(*residuals, *vector, jaxpr=jaxpr)


def _batch(arguments: Sequence[Array], axes: Sequence, jaxpr: ClosedJaxpr):
    """Many products: one with a matrix of blocks, which is symmetric as they are.

    What all blocks share is not copied; only the vector has to have all of its parts.
    """
    pairs = list(zip(arguments, axes, strict=True))
    size = next(leaf.shape[axis] for leaf, axis in pairs if axis is not None)
    count = len(pairs) - len(jaxpr.out_avals)
    vector = [_stacked(leaf, axis, size) for leaf, axis in pairs[count:]]
    arguments = *arguments[:count], *vector
    axes = *axes[:count], *[0] * len(vector)
    blocks = jax.make_jaxpr(jax.vmap(jaxpr_as_fun(jaxpr), axes))(*arguments)
    return _product.bind(*arguments, jaxpr=blocks), [0] * len(vector)


def _stacked(leaf: Array, axis: int | None, size: int) -> Array:
    if axis is None:
        return jnp.broadcast_to(leaf, (size, *leaf.shape))
    return jnp.moveaxis(leaf, axis, 0)


_product.def_impl(_evaluate)
_product.def_abstract_eval(lambda *arguments, jaxpr: jaxpr.out_avals)
ad.primitive_jvps[_product] = _differentiate
ad.primitive_transposes[_product] = _transpose
batching.primitive_batchers[_product] = _batch
mlir.register_lowering(_product, mlir.lower_fun(_evaluate, multiple_results=True))
