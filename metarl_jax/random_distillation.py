"""How new an input is: how badly a network that learns predicts one that is random."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from metarl_jax.checks import require_positive
from metarl_jax.minibatches import MinibatchConfig, minibatch_descent
from metarl_jax.networks import NetworkConfig, at_each, mlp
from metarl_jax.task_axis import TaskAxis
from metarl_jax.types import Array, Key, Metrics, Params

_SMALLEST_DEVIATION = 1e-6
_LARGEST_INPUT = 5.0  # standard deviations


@dataclasses.dataclass(frozen=True)
class DistillationConfig(MinibatchConfig):
    """The two networks, and how the one that gets used to inputs learns."""

    hidden_sizes: tuple[int, ...] = (128, 128)  # of the random network, and the other
    num_outputs: int = 64
    target_scale: float = 3.0  # of the weights of the random network
    learning_rate: float = 1e-3
    num_epochs: int = 1

    def __post_init__(self):
        super().__post_init__()
        require_positive(self, "num_outputs", "target_scale")


class Moments(NamedTuple):
    """Of all inputs so far, an equal part from each iteration."""

    mean: Array  # [H]
    variance: Array  # [H]
    iteration: Array  # []; how many there were


class DistillationState(NamedTuple):
    target: Params  # of the random network, which stays
    predictor: Params
    optimizer_state: Any
    inputs: Moments


class Distillation(NamedTuple):
    """Says how new inputs are, and gets used to them."""

    init: Callable[[Key], DistillationState]
    # (key, state, inputs [N, ..., H]) -> (novelty [N, ...], state, metrics)
    update: Callable[
        [Key, DistillationState, Array], tuple[Array, DistillationState, Metrics]
    ]


def random_distillation(
    config: DistillationConfig, num_inputs: int, axis: TaskAxis
) -> Distillation:
    """Random network distillation.

    A network learns to predict the outputs of a random one at the inputs that were met;
    where it fails, the input is new. Both read inputs in standard deviations from their
    mean, of all iterations so far, and bounded: otherwise an input of large numbers
    would be all that can be new.

    Args:
      config: networks, and steps of the one that learns.
      num_inputs: H.
      axis: says on how many devices.

    Returns:
      The corresponding `Distillation`; novelty is the squared error before learning.

    References:
      Burda et al., Exploration by Random Network Distillation (2018),
      https://arxiv.org/abs/1810.12894
    """
    layers = NetworkConfig(config.hidden_sizes, activation="relu")
    init_network, network = mlp(num_inputs, config.num_outputs, layers)

    def errors(predictor: Params, inputs: Array, targets: Array) -> Array:
        """Of inputs [..., H], against outputs of the random network: [...]."""
        outputs = at_each(lambda each: network(predictor, each), inputs)
        return jnp.mean((outputs - targets) ** 2, axis=-1)

    def loss(predictor: Params, batch: tuple[Array, Array]) -> tuple[Array, Metrics]:
        error = jnp.mean(errors(predictor, *batch))
        return error, {"novelty": error}

    descent = minibatch_descent(loss, config, axis)

    def init(key: Key) -> DistillationState:
        target_key, predictor_key = jax.random.split(key)
        target = init_network(target_key)
        target = jax.tree.map(lambda leaf: config.target_scale * leaf, target)
        predictor = init_network(predictor_key)
        nothing = Moments(jnp.zeros(num_inputs), jnp.zeros(num_inputs), jnp.int32(0))
        return DistillationState(target, predictor, descent.init(predictor), nothing)

    def update(key: Key, state: DistillationState, inputs: Array):
        moments = _with_inputs(state.inputs, inputs)
        inputs = _standardised(moments, inputs)
        targets = at_each(lambda each: network(state.target, each), inputs)
        novelty = errors(state.predictor, inputs, targets)
        predictor, optimizer_state, metrics = descent.update(
            key, state.predictor, state.optimizer_state, (inputs, targets)
        )
        state = DistillationState(state.target, predictor, optimizer_state, moments)
        return novelty, state, {"novelty": metrics["novelty"]}

    return Distillation(init, update)


def _with_inputs(moments: Moments, inputs: Array) -> Moments:
    """With the inputs [..., H] of an iteration more."""
    mean, variance, iteration = moments
    axes = tuple(range(inputs.ndim - 1))
    weight = 1 / (iteration + 1)
    change = jnp.mean(inputs, axes) - mean
    within = (1 - weight) * variance + weight * jnp.var(inputs, axes)
    between = weight * (1 - weight) * change**2
    return Moments(mean + weight * change, within + between, iteration + 1)


def _standardised(moments: Moments, inputs: Array) -> Array:
    deviation = jnp.maximum(jnp.sqrt(moments.variance), _SMALLEST_DEVIATION)
    scaled = (inputs - moments.mean) / deviation
    return jnp.clip(scaled, -_LARGEST_INPUT, _LARGEST_INPUT)
