"""MAML on half-cheetahs that are to run at an unknown velocity."""

from experiments import locomotion

EXPERIMENT = locomotion.maml("half_cheetah_velocity")
