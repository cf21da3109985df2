"""HyperX on GridNavi: VariBAD that is paid for hyper-states and rewards new to it."""

import dataclasses

from experiments.experiment import Experiment
from experiments.varibad_grid_navi import EXPERIMENT as VARIBAD
from metarl_jax.exploration_bonus import ExplorationBonusConfig

_BONUS = ExplorationBonusConfig(anneal_iterations=300)

EXPERIMENT: Experiment = dataclasses.replace(
    VARIBAD,
    description="HyperX in search of a cell of a grid, four episodes",
    algorithm=dataclasses.replace(VARIBAD.algorithm, bonus=_BONUS),
)
