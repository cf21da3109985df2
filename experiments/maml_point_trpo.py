"""MAML on point navigation, with the outer loop of Finn et al. (2017): TRPO."""

import dataclasses

from experiments.maml_point import EXPERIMENT as MAML_POINT
from metarl_jax.networks import NetworkConfig
from metarl_jax.optimizers import TrustRegionConfig

EXPERIMENT = dataclasses.replace(
    MAML_POINT,
    description="MAML on point navigation, TRPO outside: the paper's configuration",
    algorithm=dataclasses.replace(
        MAML_POINT.algorithm,
        outer=TrustRegionConfig(max_kl=0.01),
        network=NetworkConfig(hidden_sizes=(100, 100), activation="relu"),
    ),
)
