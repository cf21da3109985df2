"""Trust-region policy optimisation of meta-parameters, through the adaptation."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from metarl_jax.checks import require, require_positive
from metarl_jax.losses import mean_kl
from metarl_jax.surrogates import Surrogate, likelihood_ratio
from metarl_jax.task_axis import TaskAxis
from metarl_jax.types import (
    Array,
    Distribution,
    MetaObjective,
    OuterOptimizer,
    Params,
    Rollout,
)

_SMALLEST = 1e-30  # keeps divisions finite where a gradient is zero


@dataclasses.dataclass(frozen=True)
class TrustRegionConfig:
    """Trust-region policy optimisation; the values of Finn et al. (2017)."""

    max_kl: float = 0.01  # delta: largest mean KL of a step, in nats
    damping: float = 1e-5  # added to the Fisher matrix's diagonal
    conjugate_gradient_steps: int = 10
    backtrack_ratio: float = 0.8
    max_backtracks: int = 15
    # rows of each rollout that Fisher products use, and adapt to; None: all. The
    # direction of the step and its first length are then estimates; the gradient, and
    # whether a step is taken, still go by all rows
    fisher_rows: int | None = None

    def __post_init__(self):
        require_positive(self, "max_kl", "conjugate_gradient_steps", "max_backtracks")
        require(self.damping >= 0, "damping must be 0 or more")
        require(0 < self.backtrack_ratio < 1, "backtrack_ratio must be in (0, 1)")
        rows = self.fisher_rows
        require(rows is None or rows > 0, f"fisher_rows must be above 0, not {rows}")

    @property
    def surrogate(self) -> Surrogate:
        """Of the outer loss."""
        return likelihood_ratio


def trust_region(
    objective: MetaObjective, axis: TaskAxis, config: TrustRegionConfig
) -> OuterOptimizer:
    """A natural-gradient step of bounded KL, with a backtracking line search.

    The KL is between the adapted policies before and after the step, averaged over
    tasks. At the current parameters its Hessian is the Fisher matrix of the adapted
    policies, J^T M J with J the derivative *through the adaptation*: each product is
    a jvp, the small matrix M of one distribution, and a vjp. J is linearised once for
    all conjugate-gradient steps, on a subsample of the rows where the config says so.
    The linear maps of all tasks are kept: about 4 (2 K + 1) bytes for each step of a
    stage and hidden unit.

    Args:
      objective: the loss and the adapted policy.
      axis: of tasks.
      config: the size of the step and the effort spent on it.

    Returns:
      The corresponding `OuterOptimizer`, which has no state.

    References:
      Schulman et al., Trust Region Policy Optimization (2015), appendix C,
      https://arxiv.org/abs/1502.05477
    """

    def update(params: Params, state: tuple, trials: Rollout):
        flat, unravel = ravel_pytree(params)
        old = axis.map(objective.policy, params, trials)
        loss, gradient = axis.mean(jax.value_and_grad(objective.value), params, trials)
        gradient = ravel_pytree(gradient)[0]
        subsample = first_rows(trials, config.fisher_rows)
        linearized = axis.map(partial(_linearize, objective), params, subsample)

        def fisher(vector: Array) -> Array:
            product = axis.mean(partial(_fisher_product, unravel), vector, linearized)
            return product + config.damping * vector

        direction, residual = conjugate_gradient(
            fisher, gradient, config.conjugate_gradient_steps
        )
        curvature = direction @ (gradient - residual)  # without one more product
        curvature = jnp.maximum(curvature, _SMALLEST)
        step = -jnp.sqrt(2 * config.max_kl / curvature) * direction

        def evaluate(flat: Array) -> tuple[Array, Array]:
            entries = trials, old
            return axis.mean(partial(_loss_and_kl, objective), unravel(flat), entries)

        flat, search = backtrack(evaluate, flat, step, loss, config)
        metrics = {
            "outer_loss": loss,
            "gradient_norm": jnp.linalg.norm(gradient),
            "kl": search.kl,
            "loss_improvement": loss - search.loss,
            "backtracks": search.count,
        }
        return unravel(flat), state, metrics

    return OuterOptimizer(lambda params: (), update)


def first_rows(entries: Any, num_rows: int | None) -> Any:
    """The first rows of each rollout [..., T, E] in `entries`; None: all of them."""
    if num_rows is None:
        return entries

    def cut(node: Any) -> Any:
        if not isinstance(node, Rollout):
            return node
        axis = node.reward.ndim - 1
        available = node.reward.shape[axis]
        require(
            num_rows <= available,
            f"fisher_rows must be at most the {available} episodes, not {num_rows}",
        )
        return jax.tree.map(
            lambda leaf: jax.lax.slice_in_dim(leaf, 0, num_rows, axis=axis), node
        )

    return jax.tree.map(cut, entries, is_leaf=lambda node: isinstance(node, Rollout))


class _Linearized(NamedTuple):
    """The adapted policy of one task, to first order in the meta-parameters."""

    distribution: Distribution  # [..., T, E]
    jvp: Callable[[Params], Distribution]


def _linearize(objective: MetaObjective, params: Params, trial: Rollout) -> _Linearized:
    """Keeps matrix products only; all else is cheaper to compute than to fetch."""
    policy = jax.checkpoint(
        lambda params: objective.policy(params, trial),
        policy=jax.checkpoint_policies.checkpoint_dots,
        prevent_cse=False,
    )
    return _Linearized(*jax.linearize(policy, params))


def _fisher_product(unravel: Callable, vector: Array, linearized: _Linearized) -> Array:
    tangent = linearized.jvp(unravel(vector))
    old = linearized.distribution
    divergence = jax.grad(lambda new: mean_kl(old, new))
    fisher_tangent = jax.jvp(divergence, (old,), (tangent,))[1]
    transpose = jax.linear_transpose(linearized.jvp, unravel(vector))
    return ravel_pytree(transpose(fisher_tangent))[0]


def _loss_and_kl(objective: MetaObjective, params: Params, entry: Any):
    trial, old = entry
    new = objective.policy(params, trial)
    return objective.loss(new, trial), mean_kl(old, new)


class _Residual(NamedTuple):
    solution: Array
    residual: Array
    direction: Array
    squared_norm: Array


def conjugate_gradient(
    product: Callable[[Array], Array], target: Array, num_steps: int
) -> tuple[Array, Array]:
    """Solves `A x = target` approximately, for a positive definite matrix A.

    Not `jax.scipy.sparse.linalg.cg`, which spends one more product on A 0.

    Args:
      product: x -> A x.
      target: [P].
      num_steps: products to spend; a residual of 1e-5 |target| ends the search early.

    Returns:
      `(x, target - A x)`, [P] each.

    References:
      Nocedal and Wright, Numerical Optimization (2006), algorithm 5.2
    """

    def step(_, state: _Residual) -> _Residual:
        image = product(state.direction)
        size = state.squared_norm / (state.direction @ image)
        residual = state.residual - size * image
        squared_norm = residual @ residual
        momentum = squared_norm / state.squared_norm
        return _Residual(
            solution=state.solution + size * state.direction,
            residual=residual,
            direction=residual + momentum * state.direction,
            squared_norm=squared_norm,
        )

    def step_unless_solved(index, state: _Residual) -> _Residual:
        solved = state.squared_norm <= tolerance
        return jax.lax.cond(solved, lambda s: s, partial(step, index), state)

    start = _Residual(jnp.zeros_like(target), target, target, target @ target)
    tolerance = 1e-10 * start.squared_norm
    end = jax.lax.fori_loop(0, num_steps, step_unless_solved, start)
    return end.solution, end.residual


class _Search(NamedTuple):
    count: Array
    loss: Array
    kl: Array
    accepted: Array


def backtrack(
    evaluate: Callable[[Array], tuple[Array, Array]],
    start: Array,
    step: Array,
    loss: Array,
    config: TrustRegionConfig,
) -> tuple[Array, _Search]:
    """Shortens `step` until the loss falls and the KL stays within `max_kl`.

    Args:
      evaluate: point -> (loss, kl).
      start: [P].
      step: [P].
      loss: at `start`.
      config: the bound on KL, the ratio and the number of trials.

    Returns:
      The accepted point, or `start` where none was, and how the search ended.
    """
    point = lambda count: start + config.backtrack_ratio**count * step

    def unfinished(search: _Search) -> Array:
        return ~search.accepted & (search.count + 1 < config.max_backtracks)

    def shorten(search: _Search) -> _Search:
        count = search.count + 1
        new_loss, kl = evaluate(point(count))
        accepted = (new_loss < loss) & (kl <= config.max_kl)
        return _Search(count, new_loss, kl, accepted)

    first = _Search(jnp.array(-1), loss, jnp.zeros_like(loss), jnp.array(False))
    search = jax.lax.while_loop(unfinished, shorten, first)
    end = jnp.where(search.accepted, point(search.count), start)
    search = search._replace(
        loss=jnp.where(search.accepted, search.loss, loss),
        kl=jnp.where(search.accepted, search.kl, 0.0),
    )
    return end, search
