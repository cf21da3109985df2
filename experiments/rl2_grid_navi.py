"""RL^2 on GridNavi: search for a hidden goal, then go straight to it."""

import dataclasses

from experiments import reproduce_learners
from experiments.experiment import Experiment
from experiments.reproduce_cells import CELLS

_TABLE = reproduce_learners.experiment(CELLS["gridnavi"], "rl2_gru", "small")

EXPERIMENT: Experiment = dataclasses.replace(
    _TABLE,
    description="RL^2 with a GRU in search of a cell of a grid, four episodes",
    training=dataclasses.replace(_TABLE.training, num_seeds=1),
    evaluation=dataclasses.replace(_TABLE.evaluation, num_tasks=1000),
)
