"""What gradient-based meta-learners share: inner loop, trials, outer objective."""

import dataclasses
import inspect
import math
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metarl_jax import losses
from metarl_jax.adaptation import (
    adaptation_path,
    gradient_adaptation,
    rematerialized,
    step_sizes,
)
from metarl_jax.checks import (
    require,
    require_not_negative,
    require_one_of,
    require_positive,
)
from metarl_jax.losses import AdvantageConfig
from metarl_jax.networks import NetworkConfig
from metarl_jax.optimizers import (
    AdamConfig,
    OuterConfig,
    mean_loss_and_gradient,
    outer_optimizer,
)
from metarl_jax.rollouts import collect
from metarl_jax.surrogates import SURROGATES, Surrogate, SurrogateName
from metarl_jax.task_axis import TaskAxis
from metarl_jax.types import (
    Adaptation,
    Array,
    Distribution,
    Environment,
    Key,
    LossFn,
    MetaAlgorithm,
    MetaObjective,
    OuterOptimizer,
    Params,
    Policy,
    Rollout,
    Task,
)


@dataclasses.dataclass(frozen=True)
class InnerConfig:
    """Adaptation by gradient steps, and what it adapts."""

    adapts_parameters: ClassVar[bool] = True  # of its own for each task
    tested_on_any_length: ClassVar[bool] = True  # with any number of steps

    num_adaptation_steps: int = 1  # K
    num_episodes: int = 20  # E
    inner_step_sizes: tuple[float, ...] = (0.1,)  # the last one also for later steps
    # gradient steps on the data of one adaptation step; several of them with the
    # surrogate "clipped" are PPO
    inner_updates: int = 1
    inner_surrogate: SurrogateName = "likelihood_ratio"
    # numbers that the surrogate takes, such as clip_range or credit_decay
    inner_surrogate_options: dict[str, float] = dataclasses.field(default_factory=dict)
    inner_advantage: AdvantageConfig = AdvantageConfig()
    # True: a derivative through many steps needs the memory of one, and computes twice
    rematerialize: bool = False
    network: NetworkConfig = NetworkConfig()

    def __post_init__(self):
        require_not_negative(self, "num_adaptation_steps")
        require_positive(self, "num_episodes", "inner_updates")
        sizes = self.inner_step_sizes
        positive = bool(sizes) and all(0 < size < math.inf for size in sizes)
        require(positive, f"inner_step_sizes must be above 0 each, not {sizes}")
        require_one_of(self, "inner_surrogate", SURROGATES)
        _check_options(self.inner_surrogate, self.inner_surrogate_options)


@dataclasses.dataclass(frozen=True)
class MetaGradientConfig(InnerConfig):
    """A gradient-based inner loop, and an outer loop that differentiates through it."""

    outer_advantage: AdvantageConfig = AdvantageConfig()
    # which rollouts the outer loss is on: the last one of a trial, or all that were
    # collected after an adaptation (the multi-step loss of Antoniou et al. 2019)
    outer_stages: Literal["last", "adapted"] = "last"
    outer: OuterConfig = AdamConfig()

    def __post_init__(self):
        super().__post_init__()
        require(
            self.outer_stages in ("last", "adapted"),
            f"outer_stages must be last or adapted, not {self.outer_stages}",
        )

    @property
    def first_outer_stage(self) -> int:
        """The outer loss is on the rollouts from this stage of a trial on."""
        steps = self.num_adaptation_steps
        return steps if self.outer_stages == "last" else min(1, steps)


class MetaGradientState(NamedTuple):
    """What most gradient-based meta-learners carry between iterations."""

    params: Params
    optimizer_state: Any


def surrogate_options(name: SurrogateName) -> list[str]:
    """The names of the numbers that a surrogate takes."""
    return list(inspect.signature(SURROGATES[name]).parameters)[3:]


def _check_options(surrogate: SurrogateName, options: dict[str, float]) -> None:
    known = surrogate_options(surrogate)
    unknown = sorted(set(options) - set(known))
    require(
        not unknown,
        f"{surrogate} has no options {', '.join(unknown)}; it has: "
        f"{', '.join(known) or 'none'}",
    )
    for name, value in options.items():
        require(0 <= value < math.inf, f"{name} must be 0 or more, not {value}")


def inner_surrogate(config: InnerConfig) -> Surrogate:
    """The surrogate of the inner loss."""
    surrogate = SURROGATES[config.inner_surrogate]
    return partial(surrogate, **config.inner_surrogate_options)


def inner_loss(policy: Policy, config: InnerConfig) -> LossFn:
    """What adaptation descends: minus the surrogate on the data of one task."""
    estimate = losses.advantages(config.inner_advantage)
    loss = losses.policy_gradient(inner_surrogate(config), estimate)
    return losses.of_policy(policy, loss)


def inner_sgd(config: InnerConfig) -> optax.GradientTransformation:
    """Gradient steps of the configured sizes."""
    return optax.sgd(step_sizes(config.inner_step_sizes, config.inner_updates))


def inner_loop(
    policy: Policy,
    config: InnerConfig,
    optimizer: optax.GradientTransformation | None = None,
) -> Adaptation:
    """Policy-gradient steps on the data of one task.

    Args:
      policy: to adapt.
      config: of the steps.
      optimizer: what to do with a gradient; by default `inner_sgd(config)`.
    """
    adaptation = gradient_adaptation(
        inner_loss(policy, config), optimizer or inner_sgd(config), config.inner_updates
    )
    return rematerialized(adaptation) if config.rematerialize else adaptation


def context_loop(policy: Policy, config: InnerConfig) -> Adaptation:
    """Policy-gradient steps on the context of a `context_policy` and nothing else."""
    parts = {"shared": optax.set_to_zero(), "context": inner_sgd(config)}
    labels = {"shared": "shared", "context": "context"}
    return inner_loop(policy, config, optax.multi_transform(parts, labels))


def collect_trial(
    env: Environment, policy: Policy, adaptation: Adaptation, config: InnerConfig
) -> Callable[[Key, Params, Task], Rollout]:
    """A trial of K adaptation steps: `(key, meta_params, task) -> Rollout [K+1, T, E]`.

    Entry k is collected after k steps, and is what step k + 1 adapts to.
    """
    num_steps = config.num_adaptation_steps

    def adapt(key: Key, params: Params, task: Task) -> Rollout:
        def stage(state, inputs):
            key, index = inputs
            rollout = collect(key, env, policy, state.params, task, config.num_episodes)
            state = jax.lax.cond(
                index < num_steps,
                adaptation.update,
                lambda state, _: state,
                state,
                rollout,
            )
            return state, rollout

        inputs = jax.random.split(key, num_steps + 1), jnp.arange(num_steps + 1)
        return jax.lax.scan(stage, adaptation.init(params), inputs)[1]

    return adapt


def stages(trial: Any, first: int, last: int | None = None) -> Any:
    """The stages `first`, ..., `last - 1` of a trial, or of anything [K+1, ...]."""
    return jax.tree.map(lambda leaf: leaf[first:last], trial)


def stage_policies(
    policy: Policy, adaptation: Adaptation, num_steps: int, first: int
) -> Callable[[Params, Rollout], Distribution]:
    """The policies of a trial as a function of the meta-parameters.

    Args:
      policy: that was adapted.
      adaptation: how.
      num_steps: K.
      first: the first stage that is wanted.

    Returns:
      `(meta_params, trial [K+1, T, E]) -> distributions [K+1-first, T, E]`: those of
      stage k adapted k times to the stored data, at the observations of stage k.
    """

    def policies(params: Params, trial: Rollout) -> Distribution:
        path = adaptation_path(adaptation, params, stages(trial, 0, num_steps))
        wanted = stages((path, trial), first)
        return jax.lax.map(lambda stage: losses.distributions(policy, *stage), wanted)

    return policies


def outer_loss(config: MetaGradientConfig) -> losses.DistributionLoss:
    """The mean loss of some stages: `(distributions, rollouts [n, T, E]) -> scalar`."""
    estimate = losses.advantages(config.outer_advantage)
    stage_loss = losses.policy_gradient(config.outer.surrogate, estimate)
    return lambda policies, data: jnp.mean(jax.vmap(stage_loss)(policies, data))


def meta_objective(
    policy: Policy, adaptation: Adaptation, config: MetaGradientConfig
) -> MetaObjective:
    """The loss of adapted policies on fresh data, through the steps of adaptation."""
    first = config.first_outer_stage
    loss = outer_loss(config)
    return MetaObjective(
        stage_policies(policy, adaptation, config.num_adaptation_steps, first),
        lambda policies, trial: loss(policies, stages(trial, first)),
    )


def meta_gradient_algorithm(
    env: Environment,
    policy: Policy,
    adaptation: Adaptation,
    config: MetaGradientConfig,
    axis: TaskAxis,
    init: Callable[[Key], Params] | None = None,
) -> MetaAlgorithm:
    """A learner that follows the gradient of `meta_objective`.

    Args:
      env: the environment.
      policy: that is adapted.
      adaptation: the inner loop.
      config: of the trials and of the outer loop.
      axis: how to go over tasks.
      init: `key -> meta-parameters`; by default those of the policy.
    """
    objective = meta_objective(policy, adaptation, config)
    optimizer = outer_optimizer(config.outer, objective, axis)
    return MetaAlgorithm(
        init=initial_state(init or policy.init, optimizer),
        adapt=collect_trial(env, policy, adaptation, config),
        update=lambda key, state, trials: updated(optimizer, state, trials),
        policy=policy,
        adaptation=adaptation,
        gradient=meta_gradient(objective, axis),
    )


def meta_gradient(
    objective: MetaObjective,
    axis: TaskAxis,
    entries: Callable[[Any, Rollout], Any] = lambda state, trials: trials,
) -> Callable[[Any, Rollout], Params]:
    """The gradient of an objective, as in `MetaAlgorithm.gradient`.

    Args:
      objective: what the outer loop minimises.
      axis: how to go over tasks.
      entries: `(train_state, trials [N, ...]) -> entries [N, ...]` of the objective.
    """
    loss_and_gradient = mean_loss_and_gradient(objective, axis)
    return lambda state, trials: loss_and_gradient(
        state.params, entries(state, trials)
    )[1]


def initial_state(
    init: Callable[[Key], Params], optimizer: OuterOptimizer
) -> Callable[[Key], MetaGradientState]:
    """`key -> MetaGradientState`, before the first iteration."""

    def start(key: Key) -> MetaGradientState:
        params = init(key)
        return MetaGradientState(params, optimizer.init(params))

    return start


def updated(
    optimizer: OuterOptimizer, state: MetaGradientState, trials: Any
) -> tuple[MetaGradientState, dict[str, Array]]:
    """The state after an outer update, and its metrics."""
    params, optimizer_state, metrics = optimizer.update(*state, trials)
    return MetaGradientState(params, optimizer_state), metrics
