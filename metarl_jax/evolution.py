"""Gradients by evolution strategies: from values at random parameters alone."""

from collections.abc import Callable

import jax
import jax.flatten_util
import jax.numpy as jnp
import optax

from metarl_jax.checks import require
from metarl_jax.types import Array, Key, Params


def evolution_gradient(
    key: Key,
    objective: Callable[[Key, Params], Array],
    params: Params,
    std: float,
    population_size: int,
) -> Params:
    """An estimate of the gradient of E[objective(params + std * normal noise)].

    (1 / n) sum_i f(theta + std * z_i) z_i / std, over n / 2 normal z_i and their
    negatives. Unbiased for the smoothed objective, and biased for the objective
    itself by an amount of order std**2. It asks for no derivative, so f may hold an
    adaptation.

    Args:
      key: consumed.
      objective: `(key, params) -> scalar`; may be noisy.
      params: where, a pytree of arrays.
      std: sigma, the standard deviation of the noise in parameters.
      population_size: n, an even number of evaluations.

    Returns:
      A gradient like `params`.

    Raises:
      ValueError: for a population that is odd or empty.

    References:
      Salimans et al., Evolution Strategies as a Scalable Alternative to Reinforcement
      Learning (2017), https://arxiv.org/abs/1703.03864
      Song et al., ES-MAML: Simple Hessian-Free Meta Learning (2020),
      https://arxiv.org/abs/1910.01215
    """
    from evosax.algorithms.distribution_based.open_es import Open_ES  # slow to import
    from evosax.core.fitness_shaping import identity_fitness_shaping_fn

    even = population_size >= 2 and population_size % 2 == 0
    require(even, f"population_size must be even, 2 or more, not {population_size}")
    require(std > 0, f"std must be above 0, not {std}")
    zero = jax.tree.map(jnp.zeros_like, params)
    strategy = Open_ES(
        population_size,
        zero,
        optimizer=optax.sgd(1.0),  # the mean moves by minus the gradient
        std_schedule=optax.constant_schedule(std),
        fitness_shaping_fn=identity_fitness_shaping_fn,
    )
    init_key, ask_key, value_key, tell_key = jax.random.split(key, 4)
    settings = strategy.default_params
    # around zero, so that small gradients are not lost beside large parameters
    state = strategy.init(init_key, zero, settings)
    noise, state = strategy.ask(ask_key, state, settings)
    value = lambda key, shift: objective(key, jax.tree.map(jnp.add, params, shift))
    values = jax.vmap(value)(jax.random.split(value_key, population_size), noise)
    after, _ = strategy.tell(tell_key, noise, values, state, settings)
    _, unravel = jax.flatten_util.ravel_pytree(params)
    return unravel(-after.mean)
