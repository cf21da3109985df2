"""What an action is credited with: what follows in its trial or episode, or regret."""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from metarl_jax.checks import require
from metarl_jax.losses import normalized
from metarl_jax.returns import generalized_advantages
from metarl_jax.rollouts import in_first_episode
from metarl_jax.types import Array, Rollout


class Horizon(NamedTuple):
    """How far a trial looks ahead."""

    discount: float  # gamma
    trace_decay: float  # lambda of generalised advantage estimation
    length: int  # steps of a trial

    @property
    def scale(self) -> Array:
        """The return of a reward of 1 at each step: the unit that values are in."""
        return jnp.sum(jnp.asarray(self.discount) ** jnp.arange(self.length))


class Credit(NamedTuple):
    """What each step of a trial is worth, [K+1, T, E]."""

    advantage: Array
    returns: Array  # value plus advantage
    counts: Array  # 1.0: what is done there matters; 0.0: it changes nothing


# (values of the observations of a trial: [K+1, T, E] -> [K+1, T, E], trial, horizon)
CreditFn = Callable[[Callable[[Rollout], Array], Rollout, Horizon], Credit]

CreditName = Literal["reward", "regret"]

# over what advantages [N, K+1, T, E] are normalised: all steps of all trials together,
# or tasks and their lives, at each step of the trial apart
NormalizedOver = Literal["trials", "tasks"]
NORMALIZATION_AXES: dict[NormalizedOver, tuple[int, ...] | None] = {
    "trials": None,
    "tasks": (0, 3),
}


def normalized_advantages(
    advantage: Array, weight: Array, over: NormalizedOver
) -> Array:
    """Advantages of which those that count have mean 0 and standard deviation 1.

    Over tasks, what a critic gets wrong for all of them at a step falls away, and late
    steps, of which less depends, weigh as much as early ones. Where only few lives are
    still in an episode, so do their steps.

    Args:
      advantage: [N, K+1, T, E].
      weight: how much each counts, [N, K+1, T, E].
      over: what is normalised together.

    Raises:
      ValueError: if it is over tasks, and there is one life of one task.
    """
    require(
        over == "trials" or advantage.shape[0] * advantage.shape[-1] > 1,
        "normalized_over tasks compares them: set num_tasks to 2 or more, or "
        "normalized_over to trials",
    )
    return normalized(advantage, weight, NORMALIZATION_AXES[over])


def trial_credit(
    value: Callable[[Rollout], Array], trial: Rollout, horizon: Horizon
) -> Credit:
    """Credit for all that follows in the trial; see `trial_advantages`.

    What is done after the end of an episode that ended early changes nothing.
    """
    counts = jax.vmap(in_first_episode)(trial).astype(float)
    return Credit(*trial_advantages(trial, value(trial), horizon), counts)


def regret_credit(
    value: Callable[[Rollout], Array], trial: Rollout, horizon: Horizon
) -> Credit:
    """`trial_credit` for what is lost against the best action in the task.

    On average a trial pays K + 1 times the best return of an episode, less the regrets
    of its actions, so that without a discount the two are worth the same. With one, it
    is regret that is discounted: to look ahead within an episode is not, since a regret
    holds all that an action changes in it. Of the noise of rewards and transitions, and
    of the luck of a task, only what they make the agent do later is left in the credit.
    It takes an environment that knows what is best, in training only: the agent sees
    rewards.

    Args:
      value: as in `CreditFn`, of minus the regret.
      trial: [K+1, T, E]; `metrics` has `regret`, the suboptimality gap of the action:
        how much less it is worth than the best one if all that follows is done at best,
        in units of reward.
      horizon: how far a trial looks ahead.

    Raises:
      ValueError: if there is no `regret`.

    References:
      Kakade and Langford, Approximately Optimal Approximate Reinforcement Learning
      (2002), lemma 6.1, for the sum; Ng, Harada and Russell, Policy Invariance under
      Reward Transformations (1999), for rewards less differences of values.
    """
    require(
        "regret" in trial.metrics,
        "the environment says no regret: set credit to reward",
    )
    return trial_credit(value, trial._replace(reward=-trial.metrics["regret"]), horizon)


def episode_credit(
    value: Callable[[Rollout], Array], trial: Rollout, horizon: Horizon
) -> Credit:
    """Credit for what follows in the same episode.

    For policies that learn nothing from one episode for the next. What a truncated
    episode would still have brought is bootstrapped.

    Args:
      value: `trial -> [K+1, T, E]`, of its observations, which are all that it reads.
      trial: [K+1, T, E].
      horizon: discount and trace decay.
    """
    now = value(trial)
    following = value(trial._replace(observation=trial.next_observation))
    estimate = partial(
        generalized_advantages,
        discount=horizon.discount,
        trace_decay=horizon.trace_decay,
    )
    advantage = jax.vmap(estimate)(trial, now, following)
    return Credit(advantage, now + advantage, jnp.ones_like(advantage))


def trial_advantages(
    trial: Rollout, value: Array, horizon: Horizon
) -> tuple[Array, Array]:
    """Generalised advantages over a whole trial, across the borders of its episodes.

    The trial is one long episode: what an episode teaches is worth the reward of the
    following ones. Nothing comes after the trial.

    Args:
      trial: [K+1, T, E].
      value: of each step, [K+1, T, E], in units of reward.
      horizon: discount and trace decay.

    Returns:
      `(advantages, returns)`, [K+1, T, E]; returns are value plus advantage.
    """
    life = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), trial)
    never = jnp.zeros_like(life.terminated)
    life = life._replace(terminated=never.at[-1].set(True), truncated=never)
    flat = value.reshape(life.reward.shape)
    advantage = generalized_advantages(
        life, flat, flat, horizon.discount, horizon.trace_decay
    )
    advantage = advantage.reshape(value.shape)
    return advantage, value + advantage


CREDITS: dict[CreditName, CreditFn] = {"reward": trial_credit, "regret": regret_credit}
