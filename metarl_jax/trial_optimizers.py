"""Outer loops over whole trials: PPO and TRPO on policy and value of each step."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metarl_jax.checks import require_not_negative, require_one_of, require_positive
from metarl_jax.memory_policies import TrialNetworks
from metarl_jax.minibatches import MinibatchConfig, groups, minibatch_descent
from metarl_jax.surrogates import clipped, likelihood_ratio
from metarl_jax.task_axis import TaskAxis
from metarl_jax.trial_credit import (
    NORMALIZATION_AXES,
    CreditFn,
    Horizon,
    NormalizedOver,
    normalized_advantages,
    trial_credit,
)
from metarl_jax.trust_region import TrustRegionConfig, trust_region
from metarl_jax.types import (
    Array,
    Distribution,
    Key,
    MetaObjective,
    Metrics,
    Params,
    Rollout,
)


@dataclasses.dataclass(frozen=True)
class TrialProximalConfig(MinibatchConfig):
    """PPO on minibatches of whole trials, policy and value with one memory.

    References:
      Schulman et al., Proximal Policy Optimization Algorithms (2017),
      https://arxiv.org/abs/1707.06347
    """

    clip_range: float = 0.2
    value_coefficient: float = 0.5
    # of a bonus for entropy; falls as the learning rate does
    entropy_coefficient: float = 0.01
    normalized_over: NormalizedOver = "trials"

    def __post_init__(self):
        super().__post_init__()
        require_positive(self, "clip_range")
        require_not_negative(self, "value_coefficient", "entropy_coefficient")
        require_one_of(self, "normalized_over", NORMALIZATION_AXES)


@dataclasses.dataclass(frozen=True)
class TrialTrustRegionConfig(TrustRegionConfig):
    """TRPO on whole trials, and a value function with a memory of its own."""

    critic: MinibatchConfig = MinibatchConfig()
    normalized_over: NormalizedOver = "trials"

    def __post_init__(self):
        super().__post_init__()
        require_one_of(self, "normalized_over", NORMALIZATION_AXES)


TrialOuterConfig = TrialProximalConfig | TrialTrustRegionConfig


class Lesson(NamedTuple):
    """A trial, and what there is to learn from it."""

    trial: Rollout  # [K+1, T, E]
    # [K+1, T, E] each
    advantage: Array  # see `normalized_advantages`
    weight: Array  # of a step for the policy: 0 where it does not count, 1 on average
    target: Array  # the return from each step on, in units of the scale


# (parameters of the value function, trials [N, K+1, T, E]) -> their lessons
LessonsFn = Callable[[Params, Rollout], Lesson]


class PpoLesson(NamedTuple):
    """A lesson, and what entropy is worth meanwhile."""

    lesson: Lesson
    entropy_coefficient: Array  # []


class PpoState(NamedTuple):
    optimizer_state: Any
    iteration: Array  # []


class TrialOptimizer(NamedTuple):
    """Improves the parameters of `TrialNetworks` on the trials of N tasks."""

    init: Callable[[Key], tuple[Params, Any]]  # (params, state)
    # (key, params, state, trials [N, K+1, T, E]) -> (params, state, metrics)
    update: Callable[[Key, Params, Any, Rollout], tuple[Params, Any, Metrics]]


def trial_optimizer(
    networks: TrialNetworks,
    config: TrialOuterConfig,
    horizon: Horizon,
    axis: TaskAxis,
    credit: CreditFn = trial_credit,
) -> TrialOptimizer:
    """The optimiser that `config` describes.

    Args:
      networks: policy and value function.
      config: of the optimiser.
      horizon: how far a trial looks ahead.
      axis: how to go over tasks.
      credit: what an action is credited with; `trial_credit`, `regret_credit` or
        `episode_credit`.
    """
    lessons_of = partial(
        _lessons, networks, horizon, axis, credit, config.normalized_over
    )
    return _FACTORIES[type(config)](networks, config, lessons_of, axis)


def ppo(
    networks: TrialNetworks,
    config: TrialProximalConfig,
    lessons_of: LessonsFn,
    axis: TaskAxis,
) -> TrialOptimizer:
    """Several epochs of clipped steps on minibatches of trials."""

    def loss(params: Params, batch: PpoLesson) -> tuple[Array, Metrics]:
        lessons, entropy_coefficient = batch
        features = _features(networks, params, lessons.trial)
        distribution = networks.action(params, features)
        error = networks.value(params, features) - lessons.target
        surrogate = partial(clipped, clip_range=config.clip_range)
        parts = {
            "policy_loss": _policy_loss(surrogate, distribution, lessons),
            "value_loss": jnp.mean(error**2),
            "entropy": jnp.mean(lessons.weight * distribution.entropy()),
        }
        total = (
            parts["policy_loss"]
            + config.value_coefficient * parts["value_loss"]
            - entropy_coefficient[0] * parts["entropy"]
        )
        return total, parts

    descent = minibatch_descent(loss, config, axis)

    def init(key: Key) -> tuple[Params, Any]:
        policy_key, value_key = jax.random.split(key)
        params = networks.init_value(value_key) | networks.policy.init(policy_key)
        return params, PpoState(descent.init(params), jnp.int32(0))

    def update(key: Key, params: Params, state: PpoState, trials: Rollout):
        lessons = lessons_of(params, trials)
        coefficient = config.entropy_coefficient * remaining(config, state.iteration)
        batch = PpoLesson(lessons, jnp.full(len(trials.reward), coefficient))
        params, optimizer_state, metrics = descent.update(
            key, params, state.optimizer_state, batch
        )
        metrics["entropy_coefficient"] = coefficient
        return params, PpoState(optimizer_state, state.iteration + 1), metrics

    return TrialOptimizer(init, update)


class TrustRegionState(NamedTuple):
    value_params: Params  # of the critic
    optimizer_state: Any


def trpo(
    networks: TrialNetworks,
    config: TrialTrustRegionConfig,
    lessons_of: LessonsFn,
    axis: TaskAxis,
) -> TrialOptimizer:
    """A natural-gradient step of bounded KL; a value function is fitted beside it.

    The outer loop of Duan et al. (2016), section 2.3. KL is averaged over all steps,
    those after the early end of an episode included.
    """

    def distributions(params: Params, lessons: Lesson) -> Distribution:
        return networks.action(params, _features(networks, params, lessons.trial))

    objective = MetaObjective(distributions, partial(_policy_loss, likelihood_ratio))
    policy_optimizer = trust_region(objective, axis, config)

    def value_loss(params: Params, lessons: Lesson) -> tuple[Array, Metrics]:
        features = _features(networks, params, lessons.trial)
        error = networks.value(params, features) - lessons.target
        loss = jnp.mean(error**2)
        return loss, {"value_loss": loss}

    critic = minibatch_descent(value_loss, config.critic, axis)

    def init(key: Key) -> tuple[Params, TrustRegionState]:
        policy_key, value_key = jax.random.split(key)
        value_params = networks.init_value(value_key)
        state = TrustRegionState(value_params, critic.init(value_params))
        return networks.policy.init(policy_key), state

    def update(key: Key, params: Params, state: TrustRegionState, trials: Rollout):
        lessons = lessons_of(state.value_params, trials)
        grouped = groups(lessons, axis.num_devices)
        params, _, metrics = policy_optimizer.update(params, (), grouped)
        *state, value_metrics = critic.update(key, *state, lessons)
        metrics["value_loss"] = value_metrics["value_loss"]
        return params, TrustRegionState(*state), metrics

    return TrialOptimizer(init, update)


def _lessons(
    networks: TrialNetworks,
    horizon: Horizon,
    axis: TaskAxis,
    credit: CreditFn,
    over: NormalizedOver,
    value_params: Params,
    trials: Rollout,
) -> Lesson:
    def lesson(params: Params, trial: Rollout) -> Lesson:
        def value(trial: Rollout) -> Array:
            features = networks.features(params, trial)
            return horizon.scale * networks.value(params, features)

        advantage, returns, counts = credit(value, trial, horizon)
        return Lesson(trial, advantage, counts, returns / horizon.scale)

    lessons = axis.map(lesson, value_params, trials)
    weight = lessons.weight / jnp.mean(lessons.weight)
    advantage = normalized_advantages(lessons.advantage, weight, over)
    return lessons._replace(advantage=advantage, weight=weight)


def remaining(config: MinibatchConfig, iteration: Array) -> Array:
    """The fraction of the learning rate that is left; 1 where nothing decays."""
    if not config.decay_iterations:
        return jnp.ones(())
    schedule = optax.linear_schedule(
        1.0, config.final_fraction, config.decay_iterations
    )
    return schedule(iteration)


def _features(networks: TrialNetworks, params: Params, trials: Rollout) -> Any:
    """Features of a batch of trials, [B, K+1, T, E, H]."""
    return jax.vmap(partial(networks.features, params))(trials)


def _policy_loss(surrogate, distribution: Distribution, lesson: Lesson) -> Array:
    trial = lesson.trial
    log_ratio = distribution.log_prob(trial.action) - trial.log_prob
    return -jnp.mean(lesson.weight * surrogate(log_ratio, lesson.advantage, trial))


_FACTORIES = {
    TrialProximalConfig: ppo,
    TrialTrustRegionConfig: trpo,
}
