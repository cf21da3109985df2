"""RL^2 on GridNavi: search for a hidden goal, then go straight to it."""

import dataclasses

from experiments import reproduce_learners
from experiments.experiment import Experiment
from experiments.reproduce_cells import CELLS

_AS_IN_TABLE = reproduce_learners.experiment(CELLS["gridnavi"], "rl2_gru", "small")

EXPERIMENT: Experiment = dataclasses.replace(
    _AS_IN_TABLE,
    description="RL^2 with a GRU in search of a cell of a grid, four episodes",
    training=dataclasses.replace(_AS_IN_TABLE.training, num_seeds=1),
    evaluation=dataclasses.replace(_AS_IN_TABLE.evaluation, num_tasks=1000),
)
