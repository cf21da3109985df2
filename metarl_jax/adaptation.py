"""Inner loops: how a learner changes with the data of one task."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.scipy.sparse.linalg import cg

from metarl_jax.types import Adaptation, AdaptState, LossFn, Params, Rollout


class ProximalSolver(NamedTuple):
    """How much effort `implicit_adaptation` spends."""

    step_size: float  # of gradient descent
    num_steps: int  # of gradient descent
    num_products: int  # with the Hessian, of conjugate gradients

    def minimize(self, slope: Callable[[Params], Params], start: Params) -> Params:
        """Gradient descent along `slope`."""

        def step(_, params: Params) -> Params:
            descend = lambda leaf, gradient: leaf - self.step_size * gradient
            return jax.tree.map(descend, params, slope(params))

        return jax.lax.fori_loop(0, self.num_steps, step, start)

    def solve_linear(
        self, product: Callable[[Params], Params], target: Params
    ) -> Params:
        """Conjugate gradients for `product(x) = target`."""
        return cg(product, target, maxiter=self.num_products)[0]


def gradient_adaptation(
    loss: LossFn, optimizer: optax.GradientTransformation, num_updates: int = 1
) -> Adaptation:
    """Adapts by gradient steps on `loss`; differentiable to any order.

    Args:
      loss: `(params, rollout [T, E]) -> scalar`.
      optimizer: the inner update; any optax chain, e.g. `optax.sgd(0.1)`, or
        `optax.chain(stop_gradient(), optax.sgd(0.1))` for first-order MAML.
      num_updates: gradient steps on each rollout.

    Returns:
      The corresponding `Adaptation`.

    References:
      Finn et al., Model-Agnostic Meta-Learning (2017), section 2.2,
      https://arxiv.org/abs/1703.03400
    """

    def init(meta_params: Params) -> AdaptState:
        return AdaptState(meta_params, optimizer.init(meta_params))

    def step(state: AdaptState, rollout: Rollout) -> AdaptState:
        gradient = jax.grad(loss)(state.params, rollout)
        updates, optimizer_state = optimizer.update(
            gradient, state.optimizer_state, state.params
        )
        return AdaptState(optax.apply_updates(state.params, updates), optimizer_state)

    def update(state: AdaptState, rollout: Rollout) -> AdaptState:
        repeat = lambda state, _: (step(state, rollout), None)
        return jax.lax.scan(repeat, state, length=num_updates)[0]

    return Adaptation(init, step if num_updates == 1 else update)


def implicit_adaptation(
    loss: LossFn, regularization: float, solver: ProximalSolver
) -> Adaptation:
    """Moves to the minimum of `loss` plus a pull towards where it started.

    phi* = argmin_phi loss(phi) + regularization / 2 |phi - theta|^2. Its derivative by
    theta is that of the minimum, (I + H / regularization)^-1 with H the Hessian of the
    loss at phi*, whatever path led there: time and memory of the derivative do not
    depend on the number of steps. Here it is the derivative of a last Newton step,
    phi - (H + regularization)^-1 slope(phi, theta), by theta inside the slope.

    Args:
      loss: `(params, rollout [T, E]) -> scalar`.
      regularization: lambda; about one over the step size that it replaces. Must
        exceed minus the smallest eigenvalue of H.
      solver: of the minimisation, and of the linear system of its derivative.

    Returns:
      The corresponding `Adaptation`.

    References:
      Rajeswaran et al., Meta-Learning with Implicit Gradients (2019), lemma 1,
      https://arxiv.org/abs/1909.04630
    """

    def slope(params: Params, start: Params, rollout: Rollout) -> Params:
        gradient = jax.grad(loss)(params, rollout)
        pull = lambda gradient, end, begin: gradient + regularization * (end - begin)
        return jax.tree.map(pull, gradient, params, start)

    def update(state: AdaptState, rollout: Rollout) -> AdaptState:
        start = jax.lax.stop_gradient(state.params)
        end = solver.minimize(lambda params: slope(params, start, rollout), start)
        end = jax.lax.stop_gradient(end)  # its derivative is that of the Newton step
        residual = slope(end, state.params, rollout)
        product = lambda vector: jax.jvp(
            lambda params: slope(params, start, rollout), (end,), (vector,)
        )[1]
        newton_step = solver.solve_linear(product, residual)
        params = jax.tree.map(jnp.subtract, end, newton_step)
        return AdaptState(params, state.optimizer_state)

    return Adaptation(lambda meta_params: AdaptState(meta_params, ()), update)


def rematerialized(adaptation: Adaptation) -> Adaptation:
    """The same adaptation, which keeps less for its derivative and computes it again.

    Of each step only the parameters are kept, so that the memory of a derivative
    through many steps is that of one.
    """
    return adaptation._replace(
        update=jax.checkpoint(adaptation.update, prevent_cse=False)
    )


def stop_gradient() -> optax.GradientTransformation:
    """Takes gradients for constants, so that no second-order term flows through."""
    return optax.stateless(lambda updates, _: jax.lax.stop_gradient(updates))


def step_sizes(sizes: tuple[float, ...], num_updates: int = 1) -> optax.Schedule:
    """A step size for each adaptation step; the last one also for all that follow.

    Args:
      sizes: one for each adaptation step.
      num_updates: gradient steps of one adaptation step, which share its size.
    """
    sizes = jnp.asarray(sizes)
    return lambda count: sizes[jnp.minimum(count // num_updates, len(sizes) - 1)]


def adaptation_path(
    adaptation: Adaptation, meta_params: Params, rollouts: Rollout
) -> Params:
    """The parameters after 0, 1, ..., K steps of adaptation.

    Args:
      adaptation: whose state has the field `params`.
      meta_params: where to start.
      rollouts: the data of each step, [K, T, E].

    Returns:
      Parameters of the policy, with leaves [K+1, ...].
    """
    start = adaptation.init(meta_params)

    def step(state: AdaptState, rollout: Rollout) -> tuple[AdaptState, Params]:
        state = adaptation.update(state, rollout)
        return state, state.params

    path = jax.lax.scan(step, start, rollouts)[1]
    return jax.tree.map(
        lambda first, rest: jnp.concatenate([first[None], rest]), start.params, path
    )
