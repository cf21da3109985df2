"""E-MAML: credit to the data that adaptation starts from."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from metarl_jax.checks import require
from metarl_jax.exploration import exploration_credit
from metarl_jax.gradient_methods import (
    MetaGradientConfig,
    collect_trial,
    initial_state,
    inner_loop,
    meta_gradient,
    outer_loss,
    stage_policies,
    stages,
    updated,
)
from metarl_jax.losses import normalized
from metarl_jax.networks import mlp_policy
from metarl_jax.optimizers import outer_optimizer
from metarl_jax.rollouts import episode_return
from metarl_jax.surrogates import SurrogateName
from metarl_jax.task_axis import TaskAxis
from metarl_jax.types import (
    Array,
    Distribution,
    Environment,
    Key,
    MetaAlgorithm,
    MetaObjective,
    Rollout,
)


@dataclasses.dataclass(frozen=True)
class EMamlConfig(MetaGradientConfig):
    """As MAML's, and how much the exploration term counts.

    The meta-gradient is that of adaptation to finite data, without bias, with weight
    1, no discount, outer advantages that are not normalised, the outer loss on the
    last stage, episodes that last to the horizon, and plain log-probabilities inside
    (other surrogates give the same credit once more). Where outer advantages are
    normalised, so are outcomes, over tasks. A sum over all actions before adaptation
    has much variance, so that less is often better.
    """

    inner_surrogate: SurrogateName = "log_probability"
    exploration_weight: float = 1e-3

    def __post_init__(self):
        super().__post_init__()
        require(self.exploration_weight >= 0, "exploration_weight must be 0 or more")


class EMamlEntry(NamedTuple):
    """A trial, and how much better it ended than others."""

    trial: Rollout  # [K+1, T, E]
    advantage: Array  # []; of the outcome


def e_maml(env: Environment, config: EMamlConfig, axis: TaskAxis) -> MetaAlgorithm:
    """MAML that also makes actions before adaptation likelier if it then went well.

    The baseline of a task's outcome is the mean outcome of the other tasks, which does
    not depend on its actions.

    Args:
      env: the environment.
      config: of the learner.
      axis: how to go over tasks.

    Returns:
      The corresponding `MetaAlgorithm`.

    References:
      Stadie et al., Some Considerations on Learning to Explore via Meta-Reinforcement
      Learning (2018), https://arxiv.org/abs/1803.01118
      Al-Shedivat et al., Continuous Adaptation via Meta-Learning (2018), appendix A,
      https://arxiv.org/abs/1710.03641
    """
    policy = mlp_policy(env.observation_space, env.action_space, config.network)
    adaptation = inner_loop(policy, config)
    policies = stage_policies(policy, adaptation, config.num_adaptation_steps, first=0)
    objective = _objective(policies, config)
    optimizer = outer_optimizer(config.outer, objective, axis)

    def as_entries(state, trials: Rollout) -> EMamlEntry:
        advantage = outcome_advantage(trials, config.outer_advantage.normalize)
        return EMamlEntry(trials, advantage)

    def update(key: Key, state, trials: Rollout):
        return updated(optimizer, state, as_entries(state, trials))

    return MetaAlgorithm(
        init=initial_state(policy.init, optimizer),
        adapt=collect_trial(env, policy, adaptation, config),
        update=update,
        policy=policy,
        adaptation=adaptation,
        gradient=meta_gradient(objective, axis, as_entries),
    )


def _objective(policies, config: EMamlConfig) -> MetaObjective:
    first, num_steps = config.first_outer_stage, config.num_adaptation_steps
    after = outer_loss(config)

    def loss(distributions: Distribution, entry: EMamlEntry) -> Array:
        before = stages(entry.trial, 0, num_steps)
        log_prob = stages(distributions, 0, num_steps).log_prob(before.action)
        credit = exploration_credit(log_prob - before.log_prob, entry.advantage)
        exploited = after(stages(distributions, first), stages(entry.trial, first))
        return exploited + config.exploration_weight * credit

    return MetaObjective(lambda params, entry: policies(params, entry.trial), loss)


def outcome_advantage(trials: Rollout, normalize: bool) -> Array:
    """How much better each trial ended than those in the other tasks.

    Args:
      trials: [N, K+1, T, E], of two tasks or more.
      normalize: True: by the standard deviation over tasks.

    Returns:
      The return per time step at the last stage, less its mean over the other tasks,
      [N].

    Raises:
      ValueError: if there is one task only.
    """
    num_tasks, _, horizon, _ = trials.reward.shape
    require(num_tasks > 1, "E-MAML compares tasks: num_tasks must be 2 or more")
    last = jax.tree.map(lambda leaf: leaf[:, -1], trials)
    outcome = jnp.mean(jax.vmap(episode_return)(last), axis=-1) / horizon
    advantage = normalized(outcome) if normalize else outcome - jnp.mean(outcome)
    return advantage * num_tasks / (num_tasks - 1)  # the mean without itself
