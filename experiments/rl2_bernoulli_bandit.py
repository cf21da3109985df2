"""RL^2 on Bernoulli bandits: near the Bayes-optimal agent in a minute or two."""

import dataclasses

from experiments import reproduce_learners
from experiments.experiment import Experiment
from experiments.reproduce_cells import CELLS

_AS_IN_TABLE = reproduce_learners.experiment(
    CELLS["bandit-n10-k5"], "rl2_gru", "small", num_iterations=600
)

EXPERIMENT: Experiment = dataclasses.replace(
    _AS_IN_TABLE,
    description="RL^2 with a GRU on bandits of 5 arms, trials of 10 pulls",
    training=dataclasses.replace(_AS_IN_TABLE.training, num_seeds=1),
    evaluation=dataclasses.replace(_AS_IN_TABLE.evaluation, num_tasks=2000),
)
