"""Inner loops: how a learner changes with the data of one task."""

import jax
import jax.numpy as jnp
import optax
from jax.scipy.sparse.linalg import cg

from metarl_jax.derivatives import gradient
from metarl_jax.types import Adaptation, AdaptState, LossFn, Params, Rollout


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
    slope = gradient(loss)

    def init(meta_params: Params) -> AdaptState:
        return AdaptState(meta_params, optimizer.init(meta_params))

    def step(state: AdaptState, rollout: Rollout) -> AdaptState:
        updates, optimizer_state = optimizer.update(
            slope(state.params, rollout), state.optimizer_state, state.params
        )
        return AdaptState(optax.apply_updates(state.params, updates), optimizer_state)

    def update(state: AdaptState, rollout: Rollout) -> AdaptState:
        repeat = lambda state, _: (step(state, rollout), None)
        return jax.lax.scan(repeat, state, length=num_updates)[0]

    return Adaptation(init, step if num_updates == 1 else update)


def implicit_adaptation(
    loss: LossFn, radius: optax.Schedule, num_updates: int, num_products: int
) -> Adaptation:
    """Moves to a minimum of `loss` that is near to where it started.

    phi* = argmin_phi loss(phi) + |phi - theta|^2 / (2 radius), so that the minimum is
    at theta - radius * grad loss(phi*): the step of gradient descent, taken with the
    gradient of where it leads. It is sought by moving half of the way there, again and
    again. The derivative is that of the minimum, (I + radius * H)^-1 with H the
    Hessian of the loss at phi*, whatever path led there: its time and memory do not
    depend on the number of updates.

    Args:
      loss: `(params, rollout [T, E]) -> scalar`.
      radius: of each adaptation step, 1 / lambda of the paper. Updates converge where
        -1 < radius * h < 3 for the eigenvalues h of H, and may diverge elsewhere.
      num_updates: gradients of the loss to spend on the minimum.
      num_products: steps of conjugate gradients for the derivative, with one product
        of H and a vector each and one to start with.

    Returns:
      The corresponding `Adaptation`.

    References:
      Rajeswaran et al., Meta-Learning with Implicit Gradients (2019), lemma 1,
      https://arxiv.org/abs/1909.04630
    """

    def update(state: AdaptState, rollout: Rollout) -> AdaptState:
        start, count = state
        size = radius(count)
        step_from = lambda origin, params: jax.tree.map(
            lambda leaf, slope: leaf - size * slope,
            origin,
            jax.grad(loss)(params, rollout),
        )
        frozen = jax.lax.stop_gradient(start)
        halfway = lambda _, params: jax.tree.map(
            lambda here, there: (here + there) / 2, params, step_from(frozen, params)
        )
        end = jax.lax.fori_loop(0, num_updates, halfway, frozen)

        def product(vector: Params) -> Params:
            curvature = jax.jvp(lambda p: step_from(frozen, p), (end,), (vector,))[1]
            return jax.tree.map(jnp.subtract, vector, curvature)

        # zero, so that only the derivative is solved for
        change = jax.tree.map(lambda leaf, value: leaf - value, start, frozen)
        moved = cg(product, change, maxiter=num_products)[0]
        return AdaptState(jax.tree.map(jnp.add, end, moved), count + 1)

    return Adaptation(lambda params: AdaptState(params, jnp.array(0)), update)


def rematerialized(adaptation: Adaptation) -> Adaptation:
    """The same adaptation, which keeps less for its derivative and computes it again.

    Of each adaptation step only the parameters are kept, so that the memory of a
    derivative through many steps is that of one step, with all of its updates.
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
