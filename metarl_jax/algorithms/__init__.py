"""The algorithms: a config and a factory each.

`make` builds the algorithm that a config belongs to.
"""

import functools
import operator

from metarl_jax.algorithms.anil import AnilConfig, anil
from metarl_jax.algorithms.cavia import CaviaConfig, cavia
from metarl_jax.algorithms.e_maml import EMamlConfig, e_maml
from metarl_jax.algorithms.es_maml import EsMamlConfig, es_maml
from metarl_jax.algorithms.fomaml import FomamlConfig, fomaml
from metarl_jax.algorithms.from_scratch import FromScratchConfig, from_scratch
from metarl_jax.algorithms.imaml import ImamlConfig, imaml
from metarl_jax.algorithms.maml import MamlConfig, maml
from metarl_jax.algorithms.meta_sgd import MetaSgdConfig, meta_sgd
from metarl_jax.algorithms.multi_task import MultiTaskConfig, multi_task
from metarl_jax.algorithms.pearl import PearlConfig, pearl
from metarl_jax.algorithms.promp import PrompConfig, promp
from metarl_jax.algorithms.reptile import ReptileConfig, reptile
from metarl_jax.algorithms.rl2 import Rl2Config, rl2
from metarl_jax.algorithms.task_embedding import TaskEmbeddingConfig, task_embedding
from metarl_jax.task_axis import TaskAxis
from metarl_jax.types import Environment, MetaAlgorithm

ALGORITHMS = {
    AnilConfig: anil,
    CaviaConfig: cavia,
    EMamlConfig: e_maml,
    EsMamlConfig: es_maml,
    FomamlConfig: fomaml,
    FromScratchConfig: from_scratch,
    ImamlConfig: imaml,
    MamlConfig: maml,
    MetaSgdConfig: meta_sgd,
    MultiTaskConfig: multi_task,
    PearlConfig: pearl,
    PrompConfig: promp,
    ReptileConfig: reptile,
    Rl2Config: rl2,
    TaskEmbeddingConfig: task_embedding,
}

AlgorithmConfig = functools.reduce(operator.or_, ALGORITHMS)


def make(env: Environment, config: AlgorithmConfig, axis: TaskAxis) -> MetaAlgorithm:
    """Builds the algorithm whose config this is."""
    return ALGORITHMS[type(config)](env, config, axis)
