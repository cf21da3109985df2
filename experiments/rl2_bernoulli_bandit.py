"""RL^2 on Bernoulli bandits: near the Bayes-optimal agent in a minute or two."""

from experiments.experiment import Experiment
from experiments.reproduce_cells import CELLS
from experiments.reproduce_learners import with_one_seed

EXPERIMENT: Experiment = with_one_seed(
    CELLS["bandit-n10-k5"],
    "rl2_gru",
    "RL^2 with a GRU on bandits of 5 arms, trials of 10 pulls",
    num_tasks=2000,
    num_iterations=600,
)
