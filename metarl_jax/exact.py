"""Exact quantities of finite tabular MDPs, by dynamic programming.

The truth against which sampled estimates are measured. All functions are written in
JAX operations and can be differentiated to every order. Policies are softmax-tabular:
pi(a | s) is the softmax of a table of logits [S, A], which is what `tabular_policy`
acts by. Letters besides those of `types.py`: S states, A actions.

How this corresponds to the sampled losses. The objective is

    J(theta) = E[ sum_t gamma**t * r_t ],  t = 0 .. T-1,

over episodes of exactly T steps. A loss of `losses.policy_gradient` averages over time
steps, not over episodes, so what it estimates is L = -J / T up to a constant, and a
step of size alpha on L moves theta by alpha / T * grad J. This holds with
`AdvantageConfig(trace_decay=1, normalize=False)`, and where gamma < 1 with
`losses.discount_weighted`, since without the weight gamma**t a policy gradient belongs
to no objective. In the limit of many episodes every surrogate has the gradient of L;
DiCE and TayPO-2 also have its Hessian, and `likelihood_ratio` that of
`low_variance_objective`. On data of another policy see `taylor_expansion`.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from metarl_jax.distributions import Categorical
from metarl_jax.types import Array, Policy


class TabularMdp(NamedTuple):
    """A finite MDP; any object with these fields will do."""

    transition: Array  # [S, A, S]; probability of the next state
    reward: Array  # [S, A]; mean reward
    initial: Array  # [S]; probability of the first state


# (mdp, logits [S, A], horizon, discount) -> scalar
Objective = Callable[[TabularMdp, Array, int, float], Array]


def tabular_policy(num_states: int, num_actions: int) -> Policy:
    """The softmax-tabular policy for one-hot observations; its parameters are logits.

    Starts uniform: `init` gives zeros [S, A].
    """
    return Policy(
        init=lambda key: jnp.zeros((num_states, num_actions)),
        apply=lambda logits, observation, memory: (
            Categorical(observation @ logits),
            memory,
        ),
    )


def expected_return(
    mdp: TabularMdp, logits: Array, horizon: int, discount: float
) -> Array:
    """J, the expected discounted return of one episode of `horizon` steps.

    Args:
      mdp: the MDP.
      logits: of the policy, [S, A].
      horizon: T.
      discount: gamma.

    Returns:
      J(logits), a scalar.
    """
    first = action_values(mdp, logits, horizon, discount)[0]
    return jnp.einsum("s,sa,sa->", mdp.initial, jax.nn.softmax(logits), first)


def policy_gradient(
    mdp: TabularMdp, logits: Array, horizon: int, discount: float
) -> Array:
    """The gradient of J by the logits, [S, A]; arguments as of `expected_return`."""
    return jax.grad(expected_return, argnums=1)(mdp, logits, horizon, discount)


def hessian(mdp: TabularMdp, logits: Array, horizon: int, discount: float) -> Array:
    """The Hessian of J, [S, A, S, A]; arguments as of `expected_return`."""
    return jax.hessian(expected_return, argnums=1)(mdp, logits, horizon, discount)


def taylor_expansion(
    mdp: TabularMdp,
    logits: Array,
    behavior: Array,
    horizon: int,
    discount: float,
    order: int,
) -> Array:
    """J expanded in the change of action probabilities from `behavior` to `logits`.

    What off-policy surrogates become in the limit of many episodes: with `order` 1
    `likelihood_ratio`, with 2 `taypo2`, both up to a constant; J itself, to which
    `dice` converges, is the expansion of order T.

    Args:
      mdp: the MDP.
      logits: of the policy, [S, A].
      behavior: logits of the policy that collects the data, [S, A].
      horizon: T.
      discount: gamma.
      order: the number of terms after the constant one, 0 or more.

    Returns:
      A scalar.

    References:
      Tang et al., Taylor Expansion Policy Optimization (2020),
      https://arxiv.org/abs/2003.06259
    """
    start, end = jax.nn.softmax(behavior), jax.nn.softmax(logits)

    def value(share: Array) -> Array:
        mixture = jnp.log(start + share * (end - start))
        return expected_return(mdp, mixture, horizon, discount)

    total, derivative, origin = 0.0, value, jnp.zeros(())
    for power in range(order + 1):
        total += derivative(origin) / math.factorial(power)
        derivative = jax.jacfwd(derivative)
    return total


def low_variance_objective(
    mdp: TabularMdp, logits: Array, horizon: int, discount: float
) -> Array:
    """What `surrogates.likelihood_ratio` becomes in the limit of many episodes.

    The states and the action values are those of the policy that collected the data
    and do not move with `logits`: sum_t gamma**t E[Q_t(s_t, a)] with s_t ~ the old
    policy and a ~ the new. Its gradient is that of `expected_return`; its Hessian
    lacks the two terms in which actions change later states.

    Args:
      mdp: the MDP.
      logits: of the policy, [S, A].
      horizon: T.
      discount: gamma.

    Returns:
      A scalar, equal to J up to a constant and to first order.

    References:
      Rothfuss et al., ProMP: Proximal Meta-Policy Search (2019),
      https://arxiv.org/abs/1810.06784
    """
    behavior = jax.lax.stop_gradient(logits)  # the data was collected before the step
    return jnp.einsum(
        "t,ts,sa,tsa->",
        discount ** jnp.arange(horizon),
        state_probabilities(mdp, behavior, horizon),
        jax.nn.softmax(logits),
        action_values(mdp, behavior, horizon, discount),
    )


def adapted_logits(
    mdp: TabularMdp,
    logits: Array,
    step_sizes: Sequence[float],
    horizon: int,
    discount: float,
    objective: Objective = expected_return,
) -> Array:
    """The logits after one exact policy-gradient step of each size.

    Args:
      mdp: the MDP.
      logits: where adaptation starts, [S, A].
      step_sizes: K sizes alpha_k, on the scale of the sampled losses, L = -J / T.
      horizon: T.
      discount: gamma.
      objective: what a step ascends; `low_variance_objective` takes the same steps
        but lets another second derivative through.

    Returns:
      logits_K, [S, A], where logits_{k+1} = logits_k + alpha_k / T * grad J(logits_k).
    """
    for size in step_sizes:
        gradient = jax.grad(objective, argnums=1)(mdp, logits, horizon, discount)
        logits = logits + size / horizon * gradient
    return logits


def meta_objective(
    mdp: TabularMdp,
    logits: Array,
    step_sizes: Sequence[float],
    horizon: int,
    discount: float,
    objective: Objective = expected_return,
) -> Array:
    """The loss -J / T of the policy after K steps of exact adaptation, a scalar.

    Its gradient by `logits` is the exact meta-gradient of MAML in one task: the
    gradient of L(theta - alpha * grad E[L(theta)]). The expectation is inside; this
    is the limit of many episodes, and not the mean over adaptations to few.

    Args:
      mdp: the MDP.
      logits: the meta-parameters, [S, A].
      step_sizes: as in `adapted_logits`.
      horizon: T.
      discount: gamma.
      objective: what adaptation ascends, as in `adapted_logits`.

    References:
      Finn et al., Model-Agnostic Meta-Learning (2017),
      https://arxiv.org/abs/1703.03400
    """
    adapted = adapted_logits(mdp, logits, step_sizes, horizon, discount, objective)
    return -expected_return(mdp, adapted, horizon, discount) / horizon


def meta_gradient(
    mdp: TabularMdp,
    logits: Array,
    step_sizes: Sequence[float],
    horizon: int,
    discount: float,
    objective: Objective = expected_return,
) -> Array:
    """The gradient of `meta_objective` by the logits, [S, A]; the same arguments."""
    return jax.grad(meta_objective, argnums=1)(
        mdp, logits, step_sizes, horizon, discount, objective
    )


def action_values(
    mdp: TabularMdp, logits: Array, horizon: int, discount: float
) -> Array:
    """Q_t(s, a): the expected discounted return from time t on, [T, S, A]."""
    policy = jax.nn.softmax(logits)
    return backward_induction(
        back_up=lambda following: mdp.reward + discount * mdp.transition @ following,
        value=lambda values: jnp.sum(policy * values, axis=-1),
        num_states=mdp.reward.shape[0],
        horizon=horizon,
    )


def optimal_action_values(mdp: TabularMdp, horizon: int) -> Array:
    """Q*_t(s, a): the most that can be expected from time t on, [T, S, A].

    Args:
      mdp: the MDP; its initial states do not matter.
      horizon: T.

    Returns:
      Undiscounted expected returns of taking an action in a state at each time and
      acting optimally after it.
    """
    return backward_induction(
        back_up=lambda following: mdp.reward + mdp.transition @ following,
        value=lambda values: jnp.max(values, axis=-1),
        num_states=mdp.reward.shape[0],
        horizon=horizon,
    )


def backward_induction(
    back_up: Callable[[Array], Array],
    value: Callable[[Array], Array],
    num_states: int,
    horizon: int,
) -> Array:
    """Action values of each time step, from the last to the first.

    Args:
      back_up: from the values of the next states, [S], to those of actions, [S, A].
      value: from the values of actions, [S, A], to those of states, [S].
      num_states: S.
      horizon: T, after which every state is worth 0.

    Returns:
      Action values, [T, S, A].
    """

    def step(following: Array, _) -> tuple[Array, Array]:
        values = back_up(following)
        return value(values), values

    return jax.lax.scan(step, jnp.zeros(num_states), length=horizon, reverse=True)[1]


def state_probabilities(mdp: TabularMdp, logits: Array, horizon: int) -> Array:
    """P(s_t = s) at each time t, [T, S]."""
    policy = jax.nn.softmax(logits)

    def advance(probability: Array, _) -> tuple[Array, Array]:
        following = jnp.einsum("s,sa,saz->z", probability, policy, mdp.transition)
        return following, probability

    return jax.lax.scan(advance, mdp.initial, length=horizon)[1]
