"""Policy and value that are equivariant to permutations of discrete actions."""

from functools import partial

import jax
import jax.numpy as jnp
from gymnax.environments import spaces

from metarl_jax.checks import require
from metarl_jax.distributions import Categorical
from metarl_jax.networks import LINEAR, Network, NetworkConfig, mlp, value_network
from metarl_jax.types import Array, Key, Params


def action_heads(
    num_actions: int, num_features: int, config: NetworkConfig
) -> tuple[Network, Network]:
    """Policy and value of the features of `tabular_memory`.

    The context is what all actions share, and the mean and maximum over them of what is
    their own; the value is a network of the context. A logit is a network of what is
    an action's own, the same network for all, to whose first layer something linear in
    the context is added. So the policy is equivariant to permutations of actions, and
    the value is invariant.

    Args:
      num_actions: A.
      num_features: (3 + A) H.
      config: hidden layers; there must be one.

    Returns:
      Networks that give a `Categorical` and a scalar.

    Raises:
      ValueError: if there is no hidden layer, or features are of another memory.

    References:
      Zaheer et al., Deep Sets (2017), section 3.1, https://arxiv.org/abs/1703.06114
    """
    size, rest = divmod(num_features, 3 + num_actions)
    require(rest == 0, "Tabular takes a memory that trial_memory made for it")
    require(config.hidden_sizes, "Tabular acts on hidden layers: set hidden_sizes")
    parts = partial(_parts, size=size)
    vectors = lambda size: spaces.Box(-jnp.inf, jnp.inf, (size,))
    value = value_network(vectors(3 * size), config)
    policy = _comparison(value_network(vectors(size), config), 3 * size, config)
    of_context = lambda apply: lambda params, inputs: apply(params, parts(inputs)[0])
    of_both = lambda apply: lambda params, inputs: apply(params, *parts(inputs))
    return (
        Network(policy.init, of_both(policy.apply), of_both(policy.activations)),
        Network(value.init, of_context(value.apply), of_context(value.activations)),
    )


def _comparison(score: Network, num_context: int, config: NetworkConfig) -> Network:
    """A policy, a function of `(params, context [C], own [A, H])`."""
    first, *others = config.linear_sizes
    init_shift, shift = mlp(num_context, first, LINEAR)
    unmoved = [(0.0, 0.0)] * len(others)

    def init(key: Key) -> Params:
        score_key, shift_key = jax.random.split(key)
        return {"score": score.init(score_key), "shift": init_shift(shift_key)}

    def of_each(apply, params: Params, context: Array, own: Array):
        modulation = [(0.0, shift(params["shift"], context)), *unmoved]
        return jax.vmap(lambda each: apply(params["score"], each, modulation))(own)

    return Network(
        init,
        lambda *given: Categorical(of_each(score.apply, *given)),
        partial(of_each, score.activations),
    )


def _parts(features: Array, size: int) -> tuple[Array, Array]:
    """The context, [3 H], and what is each action's own, [A, H]."""
    context, own = jnp.split(features, [3 * size])
    return context, own.reshape(-1, size)
