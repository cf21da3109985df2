"""What a meta-iteration costs, by formulas: operations and memory traffic.

XLA's own count takes the body of a loop once, and so knows nothing of most of the work.
Counted here are the matrix products of the policy in the algorithm as it is written,
two operations for each multiplication with its addition. Not counted: the environment,
the baseline's fit, element-wise functions, and what is computed once more in order to
save memory.

A policy has layers of n_0, n_1, ..., n_L units (a bilinear one counts twice where it is
an output). One step of data has the products

    W   = n_0 n_1 + n_1 n_2 + ... + n_{L-1} n_L
    W_1 = n_0 n_1, whose input is data and needs no derivative

and one *pass* over it costs, in operations,

    forward    2 W          outputs h_l of all layers: W_l h_{l-1}
    gradient   6 W - 2 W_1  forward; then for each layer the weights' gradient, and
                            the derivative of its input except in the first layer
    hessian   12 W - 8 W_1  the Hessian of the loss times a vector, given the values
                            of the gradient's pass: the derivative of each of its
                            3 products is 2 products; of the first layer's 2 products,
                            whose input has no derivative, 1 each
    tangent    4 W - 2 W_1  the outputs' derivative along a vector, or its transpose,
                            given the outputs: W_l h'_{l-1} + V_l h_{l-1}

in forward and in reverse mode alike.
"""

import math
from typing import NamedTuple

import jax

from metarl_jax.algorithms import (
    AlgorithmConfig,
    EMamlConfig,
    EsMamlConfig,
    FomamlConfig,
    FromScratchConfig,
    MamlConfig,
    MetaSgdConfig,
    MultiTaskConfig,
    PrompConfig,
    ReptileConfig,
)
from metarl_jax.gradient_methods import InnerConfig, MetaGradientConfig
from metarl_jax.trust_region import TrustRegionConfig
from metarl_jax.types import Params, Rollout


class Layers(NamedTuple):
    """The matrices of a policy."""

    weights: int  # W
    first: int  # W_1


class Passes(NamedTuple):
    """How often the policy goes over the T E steps of one stage of a trial."""

    forward: float = 0
    gradient: float = 0
    hessian: float = 0
    tangent: float = 0

    def __add__(self, other: "Passes") -> "Passes":
        return Passes(*(left + right for left, right in zip(self, other, strict=True)))

    def __mul__(self, times: float) -> "Passes":
        return Passes(*(times * count for count in self))

    def flops(self, layers: Layers) -> float:
        """Floating-point operations for each step of the stage."""
        weights, first = layers
        return (
            self.forward * 2 * weights
            + self.gradient * (6 * weights - 2 * first)
            + self.hessian * (12 * weights - 8 * first)
            + self.tangent * (4 * weights - 2 * first)
        )


class Work(NamedTuple):
    """What one meta-iteration does in each task."""

    collecting: Passes
    learning: Passes
    # how often `update` goes over all tasks, where a mean over tasks stands between
    # one time and the next; None: more than trials goes to and from memory
    sweeps: float | None

    def flops(self, layers: Layers, num_tasks: int, num_steps: int) -> float:
        """Operations of a meta-iteration.

        Args:
          layers: of the policy.
          num_tasks: N.
          num_steps: T E, those of one stage of a trial.
        """
        passes = self.collecting + self.learning
        return num_tasks * num_steps * passes.flops(layers)

    def traffic(self, trials: Rollout) -> float | None:
        """Bytes of the trials that go to and from memory, at the least.

        They are written once and read once in each sweep: the caches hold the data of
        a task while it is in use, and not that of all tasks. Parameters and
        activations come on top. None for a trust region, whose linearisation is larger
        than the trials and is fetched for every product.

        Args:
          trials: all that is collected; arrays or their shapes.
        """
        if self.sweeps is None:
            return None
        leaves = jax.tree.leaves(trials)
        size = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in leaves)
        return (1 + self.sweeps) * size


def layers(params: Params) -> Layers:
    """The matrices among the parameters of a policy; arrays or their shapes."""
    matrices = [leaf for leaf in jax.tree.leaves(params) if len(leaf.shape) == 2]
    sizes = [math.prod(leaf.shape) for leaf in matrices]
    return Layers(sum(sizes), sizes[0])


def work(config: AlgorithmConfig) -> Work | None:
    """The work of a meta-iteration; None where no formula is known.

    A line search is counted with one evaluation, the least that it needs, and
    conjugate gradients with all of their steps.
    """
    count = _WORK.get(type(config))
    return count and count(config)


def adaptation(config: InnerConfig) -> Passes:
    """K steps of gradient descent."""
    return Passes(gradient=config.num_adaptation_steps * config.inner_updates)


def trial(config: InnerConfig) -> Passes:
    """Acting in K + 1 stages, and adapting after all but the last."""
    return Passes(forward=config.num_adaptation_steps + 1) + adaptation(config)


def _stages(config: MetaGradientConfig) -> int:
    """How many stages the outer loss is on."""
    return config.num_adaptation_steps + 1 - config.first_outer_stage


def _through_adaptation(config: MetaGradientConfig) -> Passes:
    """What the derivative of adaptation adds, in one direction or transposed."""
    return Passes(hessian=adaptation(config).gradient)


def _meta_gradient_work(
    config: MetaGradientConfig, num_stages: int, derivative: Passes
) -> Work:
    """That of an outer loop on `num_stages` stages, by its kind."""
    if isinstance(config.outer, TrustRegionConfig):
        return _trust_region_work(config, num_stages, derivative)
    gradient = adaptation(config) + Passes(gradient=num_stages) + derivative
    num_steps = config.outer.steps_per_iteration
    return Work(trial(config), gradient * num_steps, sweeps=num_steps)


def _trust_region_work(
    config: MetaGradientConfig, num_stages: int, derivative: Passes
) -> Work:
    """Old policies, the gradient, products on a share of the rows, a line search."""
    policies = adaptation(config) + Passes(forward=num_stages)
    gradient = adaptation(config) + Passes(gradient=num_stages) + derivative
    one_way = Passes(tangent=num_stages) + derivative
    num_products = config.outer.conjugate_gradient_steps
    share = (config.outer.fisher_rows or config.num_episodes) / config.num_episodes
    fisher = (policies + one_way * 2 * num_products) * share
    learning = policies + gradient + fisher + policies
    return Work(trial(config), learning, sweeps=None)


def _second_order(config: MetaGradientConfig) -> Work:
    return _meta_gradient_work(config, _stages(config), _through_adaptation(config))


def _first_order(config: FomamlConfig) -> Work:
    return _meta_gradient_work(config, _stages(config), Passes())


def _on_all_stages(config: MetaGradientConfig) -> Work:
    """The loss needs the policies of every stage, also of those before the last."""
    num_stages = config.num_adaptation_steps + 1
    return _meta_gradient_work(config, num_stages, _through_adaptation(config))


def _promp(config: PrompConfig) -> Work:
    """Besides, the policies before the first epoch, and the KL after the last."""
    work = _on_all_stages(config)
    policies = adaptation(config) + Passes(forward=config.num_adaptation_steps + 1)
    return work._replace(learning=work.learning + policies * 2, sweeps=work.sweeps + 1)


def _reptile(config: ReptileConfig) -> Work:
    """Adapts to all K + 1 stages, and differentiates nothing else."""
    num_gradients = (config.num_adaptation_steps + 1) * config.inner_updates
    return Work(trial(config), Passes(gradient=num_gradients), sweeps=1)


def _from_scratch(config: FromScratchConfig) -> Work:
    return Work(trial(config), Passes(), sweeps=0)


def _es_maml(config: EsMamlConfig) -> Work:
    """A trial for each member of the population; only returns are learned from."""
    return Work(trial(config) * config.population_size, Passes(), sweeps=1)


_WORK = {
    MamlConfig: _second_order,
    MetaSgdConfig: _second_order,
    MultiTaskConfig: _second_order,
    FomamlConfig: _first_order,
    EMamlConfig: _on_all_stages,
    PrompConfig: _promp,
    ReptileConfig: _reptile,
    FromScratchConfig: _from_scratch,
    EsMamlConfig: _es_maml,
}
