"""Infers a task from a set of transitions, whatever their order."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from gymnax.environments import spaces

from metarl_jax.beliefs import Belief, product, standard_belief
from metarl_jax.networks import NetworkConfig, mlp_policy
from metarl_jax.types import Array, Key, Params


class ContextEncoder(NamedTuple):
    """What a set of transitions says of their task."""

    init: Callable[[Key], Params]
    prior: Belief  # [Z]; before any transition
    # (params, belief, context [C, D]) -> the belief after these transitions
    update: Callable[[Params, Belief, Array], Belief]

    def encode(self, params: Params, context: Array) -> Belief:
        """The belief of who knows the transitions [C, D] and nothing else."""
        return self.update(params, self.prior, context)


def context_encoder(
    num_inputs: int, embedding_size: int, config: NetworkConfig
) -> ContextEncoder:
    """A network that turns each transition into a Gaussian factor; factors multiply.

    The belief is the normalised product of the prior and of the factors, and so does
    not depend on their order, nor on whether they came at once. In the paper the prior
    is no factor; it is one here, so that the first transition updates a belief like
    any other, and no data leave it as it was.

    Args:
      num_inputs: D, numbers that describe a transition.
      embedding_size: Z.
      config: of the network. Its `initial_std` is the standard deviation that factors
        start with: n transitions of no meaning lower the variance of the belief from 1
        to 1 / (1 + n / initial_std**2).

    Returns:
      The corresponding `ContextEncoder`.

    References:
      Rakelly et al., Efficient Off-Policy Meta-Reinforcement Learning via
      Probabilistic Context Variables (2019), section 4.1,
      https://arxiv.org/abs/1903.08254
    """
    unbounded = lambda size: spaces.Box(-jnp.inf, jnp.inf, (size,))
    network = mlp_policy(unbounded(num_inputs), unbounded(embedding_size), config)

    def update(params: Params, belief: Belief, context: Array) -> Belief:
        factors, _ = jax.vmap(lambda inputs: network.apply(params, inputs, ()))(context)
        append = lambda old, new: jnp.concatenate([old[None], new])
        variances = jnp.broadcast_to(jnp.exp(2 * factors.log_std), factors.mean.shape)
        return product(
            append(belief.mean, factors.mean), append(belief.variance, variances)
        )

    return ContextEncoder(network.init, standard_belief(embedding_size), update)
