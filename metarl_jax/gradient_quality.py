"""How good sampled derivatives are, against the exact ones of a tabular MDP.

An estimator is a loss of a policy's logits [S, A] and a rollout [T, E], which
estimates L = -J / T up to a constant; its derivatives estimate those of J. Letters
besides those of `types.py`: S states, A actions, R repeats.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import ArrayLike

from metarl_jax import exact, losses
from metarl_jax.adaptation import gradient_adaptation
from metarl_jax.evolution import evolution_gradient
from metarl_jax.exact import TabularMdp, tabular_policy
from metarl_jax.exploration import exploration_credit
from metarl_jax.losses import AdvantageFn
from metarl_jax.surrogates import Surrogate
from metarl_jax.types import Array, Key, LossFn, Params, Rollout


class Problem(NamedTuple):
    """An MDP, and the logits at which derivatives are wanted."""

    mdp: TabularMdp
    logits: Array  # [S, A]
    behavior: Array  # [S, A]; logits of the policy that collects the data


class Setting(NamedTuple):
    """What is the same for all problems."""

    horizon: int  # T
    discount: float  # gamma
    step_size: float  # alpha of the adaptation step, on the scale of L


class Quality(NamedTuple):
    """How estimates compare with the truth; lengths are relative to that of the truth.

    `cosine` and `correlation` are equal where the entries of both sum to zero, as
    those of all derivatives by softmax logits do.
    """

    bias: float  # of the mean over repeats; noise makes it about `standard_error`
    standard_error: float  # of that mean
    std: float  # of one estimate
    cosine: float  # with the truth; the mean over repeats
    correlation: float  # of the entries with those of the truth; the mean over repeats


def estimator(surrogate: Surrogate, advantages: AdvantageFn, num_states: int) -> LossFn:
    """The library's loss on rollouts of a softmax-tabular policy.

    Args:
      surrogate: how ratios and advantages combine.
      advantages: as `losses.advantages` makes them. Without `normalize`, and with
        `weigh_by_discount` where the discount is below 1, the loss is on the scale of
        `exact.meta_objective`.
      num_states: S.

    Returns:
      `(logits [S, A], rollout [T, E]) -> scalar`.
    """
    loss = losses.policy_gradient(surrogate, advantages)

    def value(logits: Array, rollout: Rollout) -> Array:
        policy = tabular_policy(num_states, logits.shape[-1])
        return losses.of_policy(policy, loss)(logits, rollout)

    return value


def sample_rollout(
    key: Key, mdp: TabularMdp, logits: Array, horizon: int, num_trajectories: int
) -> Rollout:
    """Episodes of exactly T steps, observed one-hot: a rollout [T, E].

    Rewards are the mean rewards. All trajectories step together: much faster on a
    CPU than one after another.
    """
    first_key, scan_key = jax.random.split(key)
    states = jnp.log(mdp.initial)[None].repeat(num_trajectories, axis=0)
    log_policy = jax.nn.log_softmax(logits)

    def step(state: Array, key: Key) -> tuple[Array, tuple[Array, ...]]:
        act_key, next_key = jax.random.split(key)
        action = jax.random.categorical(act_key, log_policy[state])
        following = jnp.log(mdp.transition)[state, action]
        next_state = jax.random.categorical(next_key, following)
        return next_state, (state, action, next_state)

    first = jax.random.categorical(first_key, states)
    keys = jax.random.split(scan_key, horizon)
    state, action, next_state = jax.lax.scan(step, first, keys)[1]
    is_last = jnp.arange(horizon)[:, None] == horizon - 1
    rollout = Rollout(
        observation=jax.nn.one_hot(state, len(mdp.initial)),
        action=action,
        log_prob=log_policy[state, action],
        reward=mdp.reward[state, action],
        terminated=jnp.zeros(state.shape, bool),
        truncated=jnp.broadcast_to(is_last, state.shape),
        next_observation=jax.nn.one_hot(next_state, len(mdp.initial)),
        metrics={},
    )
    return jax.lax.stop_gradient(rollout)  # data


def hessian(loss: LossFn, logits: Array, rollout: Rollout) -> Array:
    """The Hessian of a loss, [S, A, S, A]; one row at a time, in bounded memory."""
    gradient = lambda logits: jax.grad(loss)(logits, rollout)
    product = jax.linearize(gradient, logits)[1]
    basis = jnp.eye(logits.size, dtype=logits.dtype).reshape(-1, *logits.shape)
    return jax.lax.map(product, basis).reshape(logits.shape * 2)


def meta_gradient(
    key: Key,
    problem: Problem,
    inner: LossFn,
    outer: LossFn,
    setting: Setting,
    num_trajectories: int,
    credit_weight: float | Array = 0.0,
    credit_baseline: float | Array = 0.0,
) -> Array:
    """One estimate of the meta-gradient of MAML with one step of adaptation, [S, A].

    Args:
      key: consumed.
      problem: where; adaptation is to data of `problem.behavior`.
      inner: the loss that adaptation descends.
      outer: the loss on data of the adapted policy.
      setting: horizon, discount and step size.
      num_trajectories: E, before adaptation and once more after it.
      credit_weight: of `exploration_credit` in the outer loss; 1 in E-MAML.
      credit_baseline: of that term, a mean return per time step.
    """
    before_key, after_key = jax.random.split(key)
    mdp, horizon, size = problem.mdp, setting.horizon, num_trajectories
    before = sample_rollout(before_key, mdp, problem.behavior, horizon, size)
    adapt = lambda logits: gradient_step(inner, logits, before, setting.step_size)
    after = sample_rollout(after_key, mdp, adapt(problem.logits), horizon, size)
    advantage = mean_reward(after, setting.discount) - credit_baseline

    def loss(logits: Array) -> Array:
        log_ratio = _log_prob(logits, before) - before.log_prob
        credit = exploration_credit(log_ratio[None], advantage)
        return outer(adapt(logits), after) + credit_weight * credit

    return jax.grad(loss)(problem.logits)


def gradient_step(
    loss: LossFn, params: Params, rollout: Rollout, step_size: float
) -> Params:
    """The parameters after one step of gradient descent."""
    adaptation = gradient_adaptation(loss, optax.sgd(step_size))
    return adaptation.update(adaptation.init(params), rollout).params


def mean_reward(rollout: Rollout, discount: float) -> Array:
    """An estimate of J / T from episodes of T steps each: a scalar."""
    weight = discount ** jnp.arange(rollout.reward.shape[0])
    return jnp.mean(weight[:, None] * rollout.reward)


def evolution_policy_gradient(
    key: Key, problem: Problem, setting: Setting, std: float, num_trajectories: int
) -> Array:
    """The gradient of L by evolution strategies, one trajectory per member: [S, A].

    Members come in pairs: of an odd number of trajectories one is left out.
    """

    def objective(key: Key, logits: Array) -> Array:
        rollout = sample_rollout(key, problem.mdp, logits, setting.horizon, 1)
        return -mean_reward(rollout, setting.discount)

    population_size = 2 * (num_trajectories // 2)
    return evolution_gradient(key, objective, problem.logits, std, population_size)


def evolution_meta_gradient(
    key: Key,
    problem: Problem,
    inner: LossFn,
    setting: Setting,
    std: float,
    num_trajectories: int,
    trajectories_per_stage: int = 10,
) -> Array:
    """The meta-gradient by evolution strategies (ES-MAML), [S, A].

    Every member of the population adapts to few trajectories of its own, and is
    judged by as many; in all as many are used as by `meta_gradient`, 2 E, or the
    least that two members need.
    """
    stage = trajectories_per_stage

    def objective(key: Key, logits: Array) -> Array:
        before_key, after_key = jax.random.split(key)
        mdp, horizon = problem.mdp, setting.horizon
        before = sample_rollout(before_key, mdp, logits, horizon, stage)
        adapted = gradient_step(inner, logits, before, setting.step_size)
        after = sample_rollout(after_key, mdp, adapted, horizon, stage)
        return -mean_reward(after, setting.discount)

    population_size = max(2, 2 * (num_trajectories // stage // 2))
    return evolution_gradient(key, objective, problem.logits, std, population_size)


def exact_derivatives(problem: Problem, setting: Setting) -> dict[str, Array]:
    """The truth for L: `policy_gradient`, `hessian` and `meta_gradient`."""
    mdp, logits, _ = problem
    horizon, discount, step_size = setting
    return {
        "policy_gradient": -exact.policy_gradient(mdp, logits, horizon, discount)
        / horizon,
        "hessian": -exact.hessian(mdp, logits, horizon, discount) / horizon,
        "meta_gradient": exact.meta_gradient(
            mdp, logits, (step_size,), horizon, discount
        ),
    }


def quality(estimates: ArrayLike, truth: ArrayLike) -> Quality:
    """Compares R independent estimates with the truth.

    Args:
      estimates: [R, ...], R of 2 or more.
      truth: [...].
    """
    truth = np.ravel(np.asarray(truth, np.float64))
    estimates = np.asarray(estimates, np.float64).reshape(-1, truth.size)
    length = np.linalg.norm(truth)
    std = np.sqrt(np.sum(np.var(estimates, axis=0, ddof=1)))
    centered = estimates - estimates.mean(axis=1, keepdims=True)
    return Quality(
        bias=float(np.linalg.norm(estimates.mean(axis=0) - truth) / length),
        standard_error=float(std / np.sqrt(len(estimates)) / length),
        std=float(std / length),
        cosine=float(np.mean(_cosines(estimates, truth))),
        correlation=float(np.mean(_cosines(centered, truth - truth.mean()))),
    )


def _cosines(estimates: np.ndarray, truth: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(estimates, axis=1) * np.linalg.norm(truth)
    return estimates @ truth / np.where(lengths > 0, lengths, np.inf)


def _log_prob(logits: Array, rollout: Rollout) -> Array:
    log_policy = jax.nn.log_softmax(rollout.observation @ logits)
    return jnp.take_along_axis(log_policy, rollout.action[..., None], axis=-1)[..., 0]
