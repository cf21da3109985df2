"""No meta-learning: every task starts from the same random initialisation."""

import dataclasses
from typing import NamedTuple

from metarl_jax.gradient_methods import InnerConfig, collect_trial, inner_loop
from metarl_jax.networks import mlp_policy
from metarl_jax.task_axis import TaskAxis
from metarl_jax.types import Environment, Key, MetaAlgorithm, Params


@dataclasses.dataclass(frozen=True)
class FromScratchConfig(InnerConfig):
    """Of the inner loop, which is all there is."""


class FromScratchState(NamedTuple):
    params: Params


def from_scratch(
    env: Environment, config: FromScratchConfig, axis: TaskAxis
) -> MetaAlgorithm:
    """Adapts a random policy by policy gradients, and learns nothing from tasks.

    Args:
      env: the environment.
      config: of the learner.
      axis: not needed.

    Returns:
      The corresponding `MetaAlgorithm`.
    """
    policy = mlp_policy(env.observation_space, env.action_space, config.network)
    adaptation = inner_loop(policy, config)

    def init(key: Key) -> FromScratchState:
        return FromScratchState(policy.init(key))

    return MetaAlgorithm(
        init=init,
        adapt=collect_trial(env, policy, adaptation, config),
        update=lambda key, state, trials: (state, {}),
        policy=policy,
        adaptation=adaptation,
    )
