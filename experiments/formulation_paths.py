"""The one-dimensional environment of `experiments.formulations`, and training in it."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metarl_jax import losses, surrogates
from metarl_jax.distributions import DiagonalGaussian
from metarl_jax.exploration import exploration_credit
from metarl_jax.gradient_quality import gradient_step, mean_reward
from metarl_jax.losses import AdvantageConfig
from metarl_jax.surrogates import Surrogate
from metarl_jax.types import Array, Key, LossFn, Policy, Rollout

START = (0.09, 0.05)  # (theta_0, theta_1)
GOALS = (-1.0, 1.0)
BOUND = 2.0  # of positions and actions


class Formulation(NamedTuple):
    """How sampling before adaptation gets its credit."""

    inner: Surrogate
    credit_weight: float  # of the exploration term
    baseline_weight: float  # of the baseline of that term


FORMULATIONS = {
    "I (DiCE)": Formulation(surrogates.dice, 0.0, 0.0),
    "II (E-MAML)": Formulation(surrogates.log_probability, 1.0, 0.0),
    "II with a baseline": Formulation(surrogates.log_probability, 1.0, 1.0),
}

POLICY = Policy(
    init=lambda key: jnp.asarray(START),
    apply=lambda theta, position, memory: (
        DiagonalGaussian(theta[0] * position**2 + theta[1], jnp.zeros(1)),
        memory,
    ),
)


def train(options, name: str) -> np.ndarray:
    """The parameters after each outer step: [seeds, iterations + 1, 2]."""

    def step(theta: Array, key: Key) -> tuple[Array, Array]:
        gradient = meta_gradient(key, theta, options, FORMULATIONS[name])
        theta = theta - options.outer_step_size * gradient
        return theta, theta

    def path(key: Key) -> Array:
        theta = jnp.asarray(START)
        keys = jax.random.split(key, options.num_iterations)
        return jnp.concatenate([theta[None], jax.lax.scan(step, theta, keys)[1]])

    keys = jax.random.split(jax.random.key(options.seed), options.num_seeds)
    return np.asarray(jax.jit(functools.partial(jax.lax.map, path))(keys))


def gradients(options, name: str, num_estimates: int = 100) -> np.ndarray:
    """Independent meta-gradients at the start, each of one iteration: [100, 2]."""
    estimate = lambda key: meta_gradient(
        key, jnp.asarray(START), options, FORMULATIONS[name]
    )
    keys = jax.random.split(jax.random.key(options.seed + 1), num_estimates)
    return np.asarray(jax.jit(functools.partial(jax.lax.map, estimate))(keys))


def meta_gradient(key: Key, theta: Array, options, formulation: Formulation) -> Array:
    """The gradient of minus the return after one step, averaged over tasks: [2]."""
    goals = jnp.repeat(jnp.asarray(GOALS), options.num_tasks)
    keys = jax.random.split(key, len(goals))
    one = lambda key, goal: task_gradient(key, theta, goal, options, formulation)
    return jnp.mean(jax.vmap(one)(keys, goals), axis=0)


def task_gradient(
    key: Key, theta: Array, goal: Array, options, formulation: Formulation
) -> Array:
    """One task's meta-gradient, with returns without a baseline as in the paper's code.

    The baseline of the exploration term is the return of further episodes of the
    policy before adaptation.
    """
    before_key, after_key, baseline_key = jax.random.split(key, 3)
    horizon, size = options.horizon, options.num_trajectories
    before = sample_rollout(before_key, theta, goal, horizon, size)
    inner = _episode_loss(formulation.inner, horizon)
    adapt = lambda theta: gradient_step(inner, theta, before, options.step_size)
    after = sample_rollout(after_key, adapt(theta), goal, horizon, size)
    outer = _episode_loss(surrogates.likelihood_ratio, horizon)
    others = sample_rollout(baseline_key, theta, goal, horizon, size)
    baseline = formulation.baseline_weight * mean_reward(others, 1.0)
    advantage = horizon * (mean_reward(after, 1.0) - baseline)

    def loss(theta: Array) -> Array:
        distribution = losses.distributions(POLICY, theta, before)
        log_ratio = distribution.log_prob(before.action) - before.log_prob
        credit = exploration_credit(log_ratio[None], advantage)
        return outer(adapt(theta), after) + formulation.credit_weight * credit

    return jax.grad(loss)(theta)


def sample_rollout(
    key: Key, theta: Array, goal: Array, horizon: int, num_trajectories: int
) -> Rollout:
    """Episodes of exactly T steps, all side by side: a rollout [T, E]."""
    start_key, scan_key = jax.random.split(key)
    shape = (num_trajectories, 1)
    start = jax.random.uniform(start_key, shape, minval=-BOUND, maxval=BOUND)

    def step(position: Array, key: Key) -> tuple[Array, tuple[Array, ...]]:
        distribution, _ = POLICY.apply(theta, position, ())
        action = distribution.mean + jax.random.normal(key, shape)
        following = jnp.clip(action, -BOUND, BOUND)
        reward = jnp.exp(-0.1 * (following[:, 0] - goal) ** 2)
        log_prob = distribution.log_prob(action)
        return following, (position, action, log_prob, reward, following)

    keys = jax.random.split(scan_key, horizon)
    position, action, log_prob, reward, following = jax.lax.scan(step, start, keys)[1]
    is_last = jnp.arange(horizon)[:, None] == horizon - 1
    rollout = Rollout(
        observation=position,
        action=action,
        log_prob=log_prob,
        reward=reward,
        terminated=jnp.zeros(reward.shape, bool),
        truncated=jnp.broadcast_to(is_last, reward.shape),
        next_observation=following,
        metrics={},
    )
    return jax.lax.stop_gradient(rollout)  # data


def _episode_loss(surrogate: Surrogate, horizon: int) -> LossFn:
    """Minus the return of an episode: the library's loss is of a step."""
    config = AdvantageConfig(baseline="none", discount=1.0, normalize=False)
    loss = losses.policy_gradient(surrogate, losses.advantages(config))
    mean = losses.of_policy(POLICY, loss)
    return lambda theta, rollout: horizon * mean(theta, rollout)
