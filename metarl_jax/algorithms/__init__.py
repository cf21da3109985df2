"""The algorithms: a config and a factory each.

`make` builds the algorithm that a config belongs to.
"""

from metarl_jax.algorithms.maml import MamlConfig, maml
from metarl_jax.task_axis import TaskAxis
from metarl_jax.types import Environment, MetaAlgorithm

ALGORITHMS = {
    MamlConfig: maml,
}

AlgorithmConfig = MamlConfig

__all__ = ["ALGORITHMS", "AlgorithmConfig", "MamlConfig", "make", "maml"]


def make(env: Environment, config: AlgorithmConfig, axis: TaskAxis) -> MetaAlgorithm:
    """Builds the algorithm whose config this is."""
    return ALGORITHMS[type(config)](env, config, axis)
