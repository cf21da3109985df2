"""Inner loops: how a learner changes with the data of one task."""

import jax
import jax.numpy as jnp
import optax

from metarl_jax.types import Adaptation, AdaptState, LossFn, Params, Rollout


def gradient_adaptation(
    loss: LossFn, optimizer: optax.GradientTransformation
) -> Adaptation:
    """Adapts by gradient steps on `loss`; differentiable to any order.

    Args:
      loss: `(params, rollout [T, E]) -> scalar`.
      optimizer: the inner update; any optax chain, e.g. `optax.sgd(0.1)`, or
        `optax.chain(stop_gradient(), optax.sgd(0.1))` for first-order MAML.

    Returns:
      The corresponding `Adaptation`.

    References:
      Finn et al., Model-Agnostic Meta-Learning (2017), section 2.2,
      https://arxiv.org/abs/1703.03400
    """

    def init(meta_params: Params) -> AdaptState:
        return AdaptState(meta_params, optimizer.init(meta_params))

    def update(state: AdaptState, rollout: Rollout) -> AdaptState:
        gradient = jax.grad(loss)(state.params, rollout)
        updates, optimizer_state = optimizer.update(
            gradient, state.optimizer_state, state.params
        )
        return AdaptState(optax.apply_updates(state.params, updates), optimizer_state)

    return Adaptation(init, update)


def stop_gradient() -> optax.GradientTransformation:
    """Takes gradients for constants, so that no second-order term flows through."""
    return optax.stateless(lambda updates, _: jax.lax.stop_gradient(updates))


def step_sizes(sizes: tuple[float, ...]) -> optax.Schedule:
    """A step size for each adaptation step; the last one also for all that follow."""
    sizes = jnp.asarray(sizes)
    return lambda count: sizes[jnp.minimum(count, len(sizes) - 1)]


def adaptation_path(
    adaptation: Adaptation, meta_params: Params, rollouts: Rollout
) -> Params:
    """The parameters after 0, 1, ..., K steps of adaptation.

    Args:
      adaptation: whose state has the field `params`.
      meta_params: where to start.
      rollouts: the data of each step, [K, T, E].

    Returns:
      Parameters with leaves [K+1, ...].
    """

    def step(state: AdaptState, rollout: Rollout) -> tuple[AdaptState, Params]:
        state = adaptation.update(state, rollout)
        return state, state.params

    path = jax.lax.scan(step, adaptation.init(meta_params), rollouts)[1]
    return jax.tree.map(
        lambda first, rest: jnp.concatenate([first[None], rest]), meta_params, path
    )
