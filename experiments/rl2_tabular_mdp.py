"""RL^2 on random MDPs, ten episodes, with a memory for each state and action."""

from experiments.experiment import Experiment
from experiments.reproduce_cells import CELLS
from experiments.reproduce_learners import with_one_seed

EXPERIMENT: Experiment = with_one_seed(
    CELLS["mdp-N10"],
    "rl2_tabular",
    "RL^2 with a memory for each pair, MDPs of 10 states and 5 actions",
    num_tasks=1000,
)
