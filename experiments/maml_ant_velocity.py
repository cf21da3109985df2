"""MAML on ants that are to run at an unknown velocity."""

from experiments import locomotion

EXPERIMENT = locomotion.beside_oracle("ant_velocity", "maml")
