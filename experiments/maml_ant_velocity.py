"""MAML on ants that are to run at an unknown velocity."""

from experiments import locomotion

EXPERIMENT = locomotion.maml("ant_velocity")
