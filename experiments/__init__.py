"""Where environments and algorithms meet: experiments and their commands."""

import importlib

# name -> the module that holds its EXPERIMENT
EXPERIMENTS = {
    "maml_point": "experiments.maml_point",
    "maml_point_trpo": "experiments.maml_point_trpo",
    "maml_cartpole": "experiments.maml_cartpole",
    "maml_pendulum": "experiments.maml_pendulum",
    "maml_half_cheetah_velocity": "experiments.maml_half_cheetah_velocity",
}


def load(name: str):
    """The `Experiment` of this name.

    Raises:
      ValueError: if there is none; names those that there are.
    """
    if name not in EXPERIMENTS:
        raise ValueError(
            f"no experiment '{name}'; choose from {', '.join(EXPERIMENTS)}"
        )
    return importlib.import_module(EXPERIMENTS[name]).EXPERIMENT
