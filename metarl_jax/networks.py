"""Policies and value functions."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from gymnax.environments import spaces

from metarl_jax.checks import require, require_positive
from metarl_jax.distributions import Categorical, DiagonalGaussian, TanhGaussian
from metarl_jax.types import Array, Key, Params, Policy

# (scale, shift) of the linear outputs of each hidden layer; empty: as they are
Modulation = Sequence[tuple[Array, Array]]

Activation = Literal["relu", "tanh", "elu", "swish", "bilinear"]


def _bilinear(outputs: Array) -> Array:
    left, right = jnp.split(outputs, 2, axis=-1)
    return left * right


_ACTIVATIONS = {
    "relu": nn.relu,
    "tanh": nn.tanh,
    "elu": nn.elu,
    "swish": nn.swish,
    "bilinear": _bilinear,
}


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """A multi-layer perceptron and, for continuous actions, the spread it starts with.

    The spread is a free parameter per action, or with `state_dependent_std` a second
    output of the network. `squash` sends actions through tanh; otherwise the
    environment clips them. A bilinear unit multiplies two linear functions of its
    inputs, and so can tell pairs of them (Shazeer, GLU Variants Improve Transformer,
    2020, https://arxiv.org/abs/2002.05202).
    """

    hidden_sizes: tuple[int, ...] = (64, 64)
    activation: Activation = "tanh"
    state_dependent_std: bool = False
    initial_std: float = 1.0
    smallest_std: float = 1e-6
    squash: bool = False

    def __post_init__(self):
        sizes = self.hidden_sizes
        require(min(sizes, default=1) > 0, f"hidden_sizes must be above 0, not {sizes}")
        require_positive(self, "initial_std", "smallest_std")
        require(
            self.smallest_std <= self.initial_std,
            f"smallest_std must not exceed initial_std, {self.initial_std}",
        )

    @property
    def linear_sizes(self) -> tuple[int, ...]:
        """Outputs of each hidden layer before its activation."""
        per_unit = 2 if self.activation == "bilinear" else 1
        return tuple(per_unit * size for size in self.hidden_sizes)


LINEAR = NetworkConfig(hidden_sizes=())


class Network(NamedTuple):
    """A function of one input, whose hidden layers can be modulated from outside.

    `modulation` is empty, or a pair `(scale, shift)` of vectors for each hidden layer,
    whose output x, before the non-linearity, becomes (1 + scale) * x + shift.
    """

    init: Callable[[Key], Params]
    # (params, inputs, modulation=()) -> what the network gives
    apply: Callable[..., Any]
    # (params, inputs, modulation=()) -> layer name -> its output, as in `Policy`
    activations: Callable[..., dict[str, Array]]


def mlp_policy(observation_space: Any, action_space: Any, config: NetworkConfig):
    """A memoryless policy for the spaces of an environment.

    Args:
      observation_space: a gymnax `Box`; observations are flattened.
      action_space: a gymnax `Discrete`, or a `Box` with one axis.
      config: the network.

    Returns:
      The corresponding `Policy`: categorical for a `Discrete` action space, Gaussian
      for a `Box`.

    Raises:
      TypeError: if the action space is of another kind.
    """
    network = policy_network(observation_space, action_space, config)
    return Policy(
        init=network.init,
        apply=lambda params, observation, memory: (
            network.apply(params, observation),
            memory,
        ),
        activations=network.activations,
    )


def policy_network(
    observation_space: Any, action_space: Any, config: NetworkConfig
) -> Network:
    """The network of `mlp_policy`, which gives a `Distribution`."""
    if isinstance(action_space, spaces.Discrete):
        module = _CategoricalPolicy(config, action_space.n)
    elif isinstance(action_space, spaces.Box):
        module = _GaussianPolicy(config, action_space.shape[0])
    else:
        raise TypeError(
            f"mlp_policy takes Discrete or Box action spaces, not {action_space}"
        )
    return _network(module, observation_space.shape)


def is_hidden(path: Sequence[Any]) -> bool:
    """True for parameters of hidden layers; `path` as in `jax.tree_util`."""
    return any(str(getattr(key, "key", key)).startswith("hidden_") for key in path)


def mlp_value(
    observation_space: Any, config: NetworkConfig
) -> tuple[Callable[[Array], Params], Callable[[Params, Array], Array]]:
    """A value function: `init(key) -> params`, `apply(params, observation) -> []`."""
    network = value_network(observation_space, config)
    return network.init, network.apply


def value_network(observation_space: Any, config: NetworkConfig) -> Network:
    """The network of `mlp_value`, which gives a scalar.

    It starts near zero: where the unit of values is the return of a whole trial, what a
    random network says is more than all rewards together, and credit begins as noise.
    """
    return _network(_Value(config), observation_space.shape)


def mlp_features(
    num_inputs: int, config: NetworkConfig
) -> tuple[Callable[[Key], Params], Callable[[Params, Array], Array]]:
    """Hidden layers alone: `init(key) -> params`, `apply(params, inputs) -> [H]`."""
    network = _network(_Features(config), (num_inputs,))
    return network.init, network.apply


def _network(module: nn.Module, input_shape: tuple[int, ...]) -> Network:
    return Network(
        init=lambda key: module.init(key, jnp.zeros(input_shape)),
        apply=module.apply,
        activations=partial(_layer_outputs, module),
    )


def mlp(
    num_inputs: int, num_outputs: int, config: NetworkConfig
) -> tuple[Callable[[Key], Params], Callable[[Params, Array], Array]]:
    """A function of vectors: `init(key) -> params`, `apply(params, inputs) -> [O]`."""
    module = _Mlp(config, num_outputs, 1.0)
    return lambda key: module.init(key, jnp.zeros(num_inputs)), module.apply


def at_each(fn: Callable[[Array], Any], vectors: Array) -> Any:
    """Applies a function of one vector to vectors [..., H]: leaves [..., *]."""
    for _ in vectors.shape[:-1]:
        fn = jax.vmap(fn)
    return fn(vectors)


class _Mlp(nn.Module):
    """Dense layers with orthogonal weights and zero biases; a linear output.

    Gains: sqrt(2) for hidden layers and `output_gain` for the output.
    """

    config: NetworkConfig
    num_outputs: int
    output_gain: float

    @nn.compact
    def __call__(self, observation: Array, modulation: Modulation = ()) -> Array:
        hidden = _hidden_layers(self.config, observation, modulation)
        init = nn.initializers.orthogonal(self.output_gain)
        return _Linear(self.num_outputs, init, name="output")(hidden)


class _Linear(nn.Module):
    """A dense layer whose weight is stored as [outputs, inputs].

    As `flax.linen.Dense`, which stores the transpose: the derivative with respect to
    that is a product whose result has to be transposed, which XLA on a CPU is slow at
    (docs/performance.md).
    """

    num_outputs: int
    init: nn.initializers.Initializer  # of the transpose

    @nn.compact
    def __call__(self, inputs: Array) -> Array:
        start = lambda key, shape: self.init(key, shape[::-1]).T
        weight = self.param("weight", start, (self.num_outputs, inputs.shape[-1]))
        bias = self.param("bias", nn.initializers.zeros, (self.num_outputs,))
        return jnp.einsum("...i,oi->...o", inputs, weight) + bias


class _Features(nn.Module):
    config: NetworkConfig

    @nn.compact
    def __call__(self, inputs: Array, modulation: Modulation = ()) -> Array:
        return _hidden_layers(self.config, inputs, modulation)


def _hidden_layers(
    config: NetworkConfig, inputs: Array, modulation: Modulation
) -> Array:
    """Of the module that calls this."""
    hidden = inputs.reshape(-1).astype(jnp.result_type(float))
    activation = _ACTIVATIONS[config.activation]
    for index, size in enumerate(config.linear_sizes):
        init = nn.initializers.orthogonal(math.sqrt(2))
        hidden = _Linear(size, init, name=f"hidden_{index}")(hidden)
        if modulation:
            scale, shift = modulation[index]
            hidden = (1 + scale) * hidden + shift
        hidden = activation(hidden)
    return hidden


def _layer_outputs(
    module: nn.Module, params: Params, inputs: Array, modulation: Modulation = ()
) -> dict[str, Array]:
    """The output of each dense layer, by its name."""
    is_layer = lambda layer, method: isinstance(layer, _Linear)
    _, state = module.apply(
        params,
        inputs,
        modulation,
        capture_intermediates=is_layer,
        mutable=["intermediates"],
    )
    (layers,) = state["intermediates"].values()
    return {name: output["__call__"][0] for name, output in layers.items()}


class _CategoricalPolicy(nn.Module):
    config: NetworkConfig
    num_actions: int

    @nn.compact
    def __call__(self, observation: Array, modulation: Modulation = ()) -> Categorical:
        logits = _Mlp(self.config, self.num_actions, 0.01)(observation, modulation)
        return Categorical(logits)


class _GaussianPolicy(nn.Module):
    config: NetworkConfig
    num_actions: int

    @nn.compact
    def __call__(
        self, observation: Array, modulation: Modulation = ()
    ) -> DiagonalGaussian | TanhGaussian:
        config, size = self.config, self.num_actions
        initial = jnp.log(config.initial_std)
        if config.state_dependent_std:
            both = _Mlp(config, 2 * size, 0.01)(observation, modulation)
            mean, log_std = jnp.split(both, 2)
            log_std = initial + log_std
        else:
            mean = _Mlp(config, size, 0.01)(observation, modulation)
            log_std = self.param("log_std", nn.initializers.constant(initial), (size,))
        log_std = jnp.maximum(log_std, jnp.log(config.smallest_std))
        return (TanhGaussian if config.squash else DiagonalGaussian)(mean, log_std)


class _Value(nn.Module):
    config: NetworkConfig

    @nn.compact
    def __call__(self, observation: Array, modulation: Modulation = ()) -> Array:
        return _Mlp(self.config, 1, 0.01)(observation, modulation)[0]
