"""MAML on ants that are to run forwards or backwards."""

from experiments import locomotion

EXPERIMENT = locomotion.beside_oracle("ant_direction", "maml")
