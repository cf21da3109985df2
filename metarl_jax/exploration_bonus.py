"""Rewards for hyper-states that are new, and for what the decoder did not expect."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from metarl_jax.checks import require, require_positive
from metarl_jax.minibatches import MinibatchConfig, minibatch_descent
from metarl_jax.networks import NetworkConfig, at_each, mlp
from metarl_jax.returns import discounted_sum
from metarl_jax.task_axis import TaskAxis
from metarl_jax.types import Array, Key, Metrics, Params


@dataclasses.dataclass(frozen=True)
class ExplorationBonusConfig(MinibatchConfig):
    """Weights of two bonuses, and how the network that gets used to states learns."""

    anneal_iterations: int = 400  # both bonuses fall linearly to zero
    novelty_weight: float = 1.0  # of hyper-states
    surprise_weight: float = 1.0  # of errors of the decoder
    largest_bonus: float = 10.0  # standard deviations
    hidden_sizes: tuple[int, ...] = (128, 128)  # of the random network, and the other
    num_outputs: int = 64
    target_scale: float = 3.0  # of the weights of the random network
    learning_rate: float = 1e-4
    num_epochs: int = 1

    def __post_init__(self):
        super().__post_init__()
        require_positive(
            self, "anneal_iterations", "largest_bonus", "num_outputs", "target_scale"
        )
        for name in ("novelty_weight", "surprise_weight"):
            value = getattr(self, name)
            require(value >= 0, f"{name} must be 0 or more, not {value}")


class ExplorationBonusState(NamedTuple):
    target: Params  # of the random network, which stays
    predictor: Params
    optimizer_state: Any
    variances: Array  # [2]; sums over iterations: of returns of novelty, of surprise
    iteration: Array  # []


class ExplorationBonus(NamedTuple):
    """Adds to rewards what exploring is worth."""

    init: Callable[[Key], Any]
    # (key, state, hyper-states [N, K+1, T, E, H], surprise [N, K+1, T, E])
    # -> (bonus [N, K+1, T, E], state, metrics)
    update: Callable[[Key, Any, Array, Array], tuple[Array, Any, Metrics]]


def exploration_bonus(
    config: ExplorationBonusConfig, num_inputs: int, discount: float, axis: TaskAxis
) -> ExplorationBonus:
    """The bonuses of HyperX.

    A network learns to predict the outputs of a random one at the hyper-states, the
    pairs of observation and belief, that were met; where it fails, the hyper-state is
    new. The second bonus is how badly the decoder predicts a reward that the belief
    knows already. Each is paid for the step that led there, in standard deviations of
    its discounted return, averaged over all iterations so far, and weighs less and
    less.

    Args:
      config: weights and networks.
      num_inputs: H, of a hyper-state.
      discount: gamma.
      axis: says on how many devices.

    Returns:
      The corresponding `ExplorationBonus`.

    References:
      Zintgraf et al., Exploration in Approximate Hyper-State Space for Meta
      Reinforcement Learning (2021), section 4, https://arxiv.org/abs/2010.01062
      Burda et al., Exploration by Random Network Distillation (2019),
      https://arxiv.org/abs/1810.12894
    """
    layers = NetworkConfig(config.hidden_sizes, activation="relu")
    init_network, network = mlp(num_inputs, config.num_outputs, layers)

    def errors(predictor: Params, states: Array, targets: Array) -> Array:
        """Of hyper-states [..., H], against outputs of the random network: [...]."""
        outputs = at_each(lambda state: network(predictor, state), states)
        return jnp.mean((outputs - targets) ** 2, axis=-1)

    def loss(predictor: Params, batch: tuple[Array, Array]) -> tuple[Array, Metrics]:
        error = jnp.mean(errors(predictor, *batch))
        return error, {"novelty": error}

    descent = minibatch_descent(loss, config, axis)

    def init(key: Key) -> ExplorationBonusState:
        target_key, predictor_key = jax.random.split(key)
        target = init_network(target_key)
        target = jax.tree.map(lambda leaf: config.target_scale * leaf, target)
        predictor = init_network(predictor_key)
        state = descent.init(predictor)
        return ExplorationBonusState(
            target, predictor, state, jnp.zeros(2), jnp.int32(0)
        )

    def update(key: Key, state: ExplorationBonusState, states: Array, surprise: Array):
        targets = at_each(lambda each: network(state.target, each), states)
        novelty = errors(state.predictor, states, targets)
        predictor, optimizer_state, metrics = descent.update(
            key, state.predictor, state.optimizer_state, (states, targets)
        )
        found = jnp.stack([_of_next_step(novelty), surprise])
        iteration = state.iteration + 1
        variances = state.variances + _variances_of_returns(found, discount)
        spread = jnp.sqrt(variances / iteration) + 1e-8
        scaled = jnp.minimum(found.T / spread, config.largest_bonus).T
        weights = jnp.stack([config.novelty_weight, config.surprise_weight])
        left = jnp.maximum(1 - state.iteration / config.anneal_iterations, 0.0)
        bonus = left * jnp.einsum("b,b...->...", weights, scaled)
        state = ExplorationBonusState(
            state.target, predictor, optimizer_state, variances, iteration
        )
        metrics = {"novelty": metrics["novelty"], "bonus": jnp.mean(bonus)}
        return bonus, state, metrics

    return ExplorationBonus(init, update)


def no_bonus() -> ExplorationBonus:
    """Rewards as they are."""
    return ExplorationBonus(
        init=lambda key: (),
        update=lambda key, state, states, surprise: (jnp.zeros(()), state, {}),
    )


def _of_next_step(values: Array) -> Array:
    """What each step [N, K+1, T, E] led to; nothing follows the last one."""
    num_tasks, _, _, num_lives = values.shape
    steps = values.reshape(num_tasks, -1, num_lives)
    after = jnp.concatenate([steps[:, 1:], jnp.zeros_like(steps[:, :1])], axis=1)
    return after.reshape(values.shape)


def _variances_of_returns(rewards: Array, discount: float) -> Array:
    """Of discounted returns over a life, [B, N, K+1, T, E] to [B]."""
    num_kinds, num_tasks, *_, num_lives = rewards.shape
    steps = rewards.reshape(num_kinds, num_tasks, -1, num_lives)
    steps = jnp.moveaxis(steps, 2, 0)
    returns = discounted_sum(steps, jnp.full_like(steps, discount))
    return jnp.var(returns, axis=(0, 2, 3))
