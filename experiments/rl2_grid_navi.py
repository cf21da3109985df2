"""RL^2 on GridNavi: search for a hidden goal, then go straight to it."""

from experiments.experiment import Experiment
from experiments.reproduce_cells import CELLS
from experiments.reproduce_learners import with_one_seed

EXPERIMENT: Experiment = with_one_seed(
    CELLS["gridnavi"],
    "rl2_gru",
    "RL^2 with a GRU in search of a cell of a grid, four episodes",
    num_tasks=1000,
)
