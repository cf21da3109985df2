"""The types that everything else is written in.

Letters for axes, used in every docstring and on every field:

    N  tasks of one meta-iteration
    K  adaptation steps; a trial has K + 1 stages
    T  time steps of one rollout
    E  rollouts of one task that run side by side in one stage

A *task* is a pytree of arrays: what `env.step` needs to know to tell this task from
another. A *trial* is all that an agent lives through in one task.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax

Array = jax.Array
Key = jax.Array  # a typed key, of `jax.random.key`
Params = Any  # a pytree of arrays
Task = Any  # a pytree of arrays
Memory = Any  # a pytree of arrays; `()` where a policy remembers nothing
Metrics = dict[str, Array]


class Environment(Protocol):
    """A family of tasks with one observation space and one action space.

    `observation_space` and `action_space` are gymnax spaces; `horizon` is the number
    of steps after which an episode is truncated. It may have `rows_at_once`, how many
    rows of rollouts it needs at once to be fast on a CPU.
    """

    observation_space: Any
    action_space: Any
    horizon: int

    def reset(self, key: Key, task: Task) -> tuple[Array, Any]:
        """Starts an episode: `(observation, state)`."""

    def step(
        self, key: Key, state: Any, action: Array, task: Task
    ) -> tuple[Array, Any, Array, Array, Array, dict[str, Array]]:
        """Advances by one step and never resets.

        Returns:
          `(observation, state, reward, terminated, truncated, info)`; `info` may hold
          named scalars, which travel in `Rollout.metrics`. Training counts `diverged`,
          1.0 in steps where a simulation did, and RL^2 may learn from `regret`
          (`trial_credit.regret_credit`).
        """


class Distribution(Protocol):
    """A distribution over one action; a pytree, whose leaves may have leading axes."""

    def sample(self, key: Key) -> Array:
        """Draws an action from one distribution, without leading axes."""

    def log_prob(self, action: Array) -> Array:
        """The log-probability (density) of `action`; a scalar, or the leading axes."""

    def entropy(self) -> Array:
        """The entropy in nats."""

    def kl(self, other: "Distribution") -> Array:
        """KL(self || other) in nats."""

    def mode(self) -> Array:
        """The action that the policy takes when it does not explore."""


def _forget(memory: Memory, action: Array, reward: Array, ended: Array) -> Memory:
    """The memory of a policy that learns nothing from what its actions lead to."""
    return memory


class Policy(NamedTuple):
    """Acts in one environment; all functions are for one observation."""

    init: Callable[[Key], Params]
    # (params, observation, memory) -> (distribution, memory)
    apply: Callable[[Params, Array, Memory], tuple[Distribution, Memory]]
    initial_memory: Memory = ()
    # (memory, action, reward, ended) -> memory; after each step. `ended`: an episode is
    # over, or the row of it
    remember: Callable[[Memory, Array, Array, Array], Memory] = _forget
    # (params, observation) -> layer name -> its output, before the non-linearity
    activations: Callable[[Params, Array], dict[str, Array]] | None = None


class SequenceModel(NamedTuple):
    """A network with a memory: one step at a time, or a whole sequence at once.

    Both ways compute the same: `unroll` from a memory gives what `step` gives when it
    is applied L times. Functions of one sequence; batch them with `jax.vmap`.
    """

    init: Callable[[Key], Params]
    initial_memory: Memory
    # (params, inputs [D], memory) -> (features [H], memory)
    step: Callable[[Params, Array, Memory], tuple[Array, Memory]]
    # (params, inputs [L, D], memory) -> (features [L, H], memory)
    unroll: Callable[[Params, Array, Memory], tuple[Array, Memory]]
    num_features: int  # H


class Rollout(NamedTuple):
    """Experience in one task: E rows of T steps, each row one episode after another.

    A row starts with a reset, and where an episode ends before step T the next one
    starts in the same row. Every step is thus valid data, and a row has as many
    episodes as fit; the last of them may be cut by the end of the row. Rows of
    `rollouts.collect_lives` have one episode each, and nothing after it.
    Axes are [T, E], or [N, K+1, T, E] for a batch of trials.
    """

    observation: Array  # [T, E, ...]
    action: Array  # [T, E, ...]
    log_prob: Array  # [T, E]; of `action` under the policy that acted
    reward: Array  # [T, E]
    terminated: Array  # [T, E]; True: the episode ended in a terminal state
    truncated: Array  # [T, E]; True: the horizon ended the episode
    next_observation: Array  # [T, E, ...]; what `action` led to, before any reset
    metrics: dict[str, Array]  # [T, E] each; the scalars of `info`


class AdaptState(NamedTuple):
    """What gradient adaptation carries from one step to the next."""

    params: Params
    optimizer_state: Any


class Adaptation(NamedTuple):
    """An inner loop, as pure functions of one task's data."""

    init: Callable[[Params], Any]
    # (adapt_state, rollout [T, E]) -> adapt_state
    update: Callable[[Any, Rollout], Any]


class MetaAlgorithm(NamedTuple):
    """A meta-learner, as pure functions; one harness trains and evaluates them all."""

    # key -> TrainState: the algorithm's own NamedTuple, whose first field is `params`
    init: Callable[[Key], Any]
    # (key, params, task) -> Rollout [K+1, T, E]: one trial; entry k was collected
    # after k adaptations
    adapt: Callable[[Key, Params, Task], Rollout]
    # (key, train_state, trials [N, K+1, T, E]) -> (train_state, metrics)
    update: Callable[[Key, Any, Rollout], tuple[Any, Metrics]]
    # (key, train_state, task) -> Rollout [..., K+1, T, E]: what `update` learns from in
    # one task, where training does not collect as `adapt` does from the current params
    explore: Callable[[Key, Any, Task], Rollout] | None = None
    # the policy that acts; for methods that adapt its parameters, what is adapted
    policy: Policy | None = None
    adaptation: Adaptation | None = None
    # (train_state, trials [N, K+1, T, E]) -> the gradient that `update` starts with, a
    # mean over tasks: a part of `update` on its own, for who measures it
    gradient: Callable[[Any, Rollout], Params] | None = None
    # (params, trial [K+1, T, E]) -> Belief, leaves [K+1, T, E, Z]: what the agent
    # believes of its task when it acts at each step; for methods that infer the task
    beliefs: Callable[[Params, Rollout], Any] | None = None
    # (params, embedding [Z], observation, action, next_observation) -> []: the reward
    # that is expected of this transition in a task with that embedding
    predict_reward: Callable[[Params, Array, Array, Array, Array], Array] | None = None

    def collect(self, key: Key, train_state: Any, task: Task) -> Rollout:
        """Experience for `update` in one task, [..., K+1, T, E]."""
        if self.explore is None:
            return self.adapt(key, train_state.params, task)
        return self.explore(key, train_state, task)


class MetaObjective(NamedTuple):
    """What a gradient method minimises, on the trial [K+1, T, E] of one task.

    Where a method needs to know more of a task than its trial, an entry of that
    method's own, which holds the trial, stands for it.
    """

    # (meta_params, trial) -> the adapted policies' distributions at each step of those
    # rollouts of the trial that the loss is on; differentiable through the adaptation
    policy: Callable[[Params, Any], Distribution]
    # (those distributions, trial) -> scalar
    loss: Callable[[Distribution, Any], Array]

    def value(self, meta_params: Params, trial: Any) -> Array:
        """The outer loss as a function of the meta-parameters, a scalar."""
        return self.loss(self.policy(meta_params, trial), trial)


class OuterOptimizer(NamedTuple):
    """Improves meta-parameters on the trials, or entries, of N tasks: [N, ...]."""

    init: Callable[[Params], Any]
    # (params, state, trials) -> (params, state, metrics)
    update: Callable[[Params, Any, Any], tuple[Params, Any, Metrics]]


# (params, rollout [T, E]) -> scalar
LossFn = Callable[[Params, Rollout], Array]
