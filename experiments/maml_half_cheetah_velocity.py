"""MAML on half-cheetahs that are to run at an unknown velocity."""

from experiments import locomotion

EXPERIMENT = locomotion.beside_oracle("half_cheetah_velocity", "maml")
