"""MAML on half-cheetahs that are to run forwards or backwards."""

from experiments import locomotion

EXPERIMENT = locomotion.beside_oracle("half_cheetah_direction", "maml")
