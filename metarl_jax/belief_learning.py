"""How a trial autoencoder learns: from recent lives, by steps of Adam."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from metarl_jax.checks import require_positive
from metarl_jax.lives import Life
from metarl_jax.minibatches import MinibatchConfig, minibatch_descent
from metarl_jax.replay import Replay, add, sample
from metarl_jax.task_axis import TaskAxis
from metarl_jax.trial_autoencoder import TrialAutoencoder
from metarl_jax.types import Array, Key, Metrics, Params


@dataclasses.dataclass(frozen=True)
class BeliefLearningConfig(MinibatchConfig):
    """Steps of Adam, each on some of the lives that are kept.

    Memory: a step of a kept life takes 4 O + 2 A + 5 floats, O and A being the sizes of
    an observation and of an action.
    """

    max_gradient_norm: float = 10.0
    num_epochs: int = 1
    num_minibatches: int = 8
    batch_size: int = 64  # lives of one minibatch
    buffer_size: int = 4096  # lives that are kept, the newest
    # of an iteration's lives, how many are kept; fewer reach further into the past, to
    # lives of older policies
    num_stored: int = 32

    def __post_init__(self):
        super().__post_init__()
        require_positive(self, "batch_size", "buffer_size", "num_stored")


class BeliefLearningState(NamedTuple):
    optimizer_state: Any
    buffer: Replay  # of a `Life` each, all tasks as one


class BeliefLearner(NamedTuple):
    """Improves the parameters of a trial autoencoder."""

    # (params, a buffer without data) -> state
    init: Callable[[Params, Replay], BeliefLearningState]
    # (key, params, state, new lives [N, E, L, ...]) -> (params, state, metrics)
    update: Callable[
        [Key, Params, BeliefLearningState, Life],
        tuple[Params, BeliefLearningState, Metrics],
    ]


def belief_learner(
    autoencoder: TrialAutoencoder, config: BeliefLearningConfig, axis: TaskAxis
) -> BeliefLearner:
    """Raises the evidence lower bound of lives drawn from a buffer of recent ones.

    Args:
      autoencoder: what learns.
      config: steps and sizes.
      axis: says on how many devices.

    Returns:
      The corresponding `BeliefLearner`.
    """

    def loss(params: Params, batch: tuple[Key, Life]) -> tuple[Array, Metrics]:
        keys, drawn = batch
        losses, metrics = jax.vmap(autoencoder.loss, (0, None, 0))(keys, params, drawn)
        return jnp.mean(losses), jax.tree.map(jnp.mean, metrics)

    descent = minibatch_descent(loss, config, axis)

    def init(params: Params, buffer: Replay) -> BeliefLearningState:
        return BeliefLearningState(descent.init(params), buffer)

    def update(key: Key, params: Params, state: BeliefLearningState, new: Life):
        draw_key, loss_key, order_key = jax.random.split(key, 3)
        all_tasks = jnp.zeros(1, jnp.int32)  # kept as one
        stored = jax.tree.map(lambda leaf: leaf[None], _first_lives(new, config))
        buffer = add(state.buffer, all_tasks, stored)
        number = config.batch_size * config.num_minibatches
        drawn = sample(draw_key, buffer, all_tasks, number)
        drawn = jax.tree.map(lambda leaf: leaf[0], drawn)
        batch = jax.random.split(loss_key, number), drawn
        params, optimizer_state, metrics = descent.update(
            order_key, params, state.optimizer_state, batch
        )
        names = {"outer_loss": "belief_loss", "gradient_norm": "belief_gradient_norm"}
        metrics = {names.get(name, name): value for name, value in metrics.items()}
        return params, BeliefLearningState(optimizer_state, buffer), metrics

    return BeliefLearner(init, update)


def _first_lives(new: Life, config: BeliefLearningConfig) -> Life:
    """Of lives [N, E, L, ...] the first ones, [M, L, ...], of as many tasks as can be.

    The first life of all tasks comes first, then the second.
    """
    by_life = jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), new)
    return jax.tree.map(
        lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[: config.num_stored], by_life
    )
