"""RL^2 on random MDPs, ten episodes, with a memory for each state and action."""

import dataclasses

from experiments import reproduce_learners
from experiments.experiment import Experiment
from experiments.reproduce_cells import CELLS

_AS_IN_TABLE = reproduce_learners.experiment(CELLS["mdp-N10"], "rl2_tabular", "small")

EXPERIMENT: Experiment = dataclasses.replace(
    _AS_IN_TABLE,
    description="RL^2 with a memory for each pair, MDPs of 10 states and 5 actions",
    training=dataclasses.replace(_AS_IN_TABLE.training, num_seeds=1),
    evaluation=dataclasses.replace(_AS_IN_TABLE.evaluation, num_tasks=1000),
)
