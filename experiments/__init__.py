"""Where environments and algorithms meet: experiments and their commands."""

import importlib
import os

from experiments.deferred_import import defer
from metarl_jax.platform import num_cores

# gymnax imports it, and with it pandas and scipy.stats, for a picture that nothing here
# draws
defer("seaborn")
# Read by JAX when it is imported, also in processes that a command starts: gymnax
# computes on import, and after that the number of devices is fixed.
os.environ.setdefault("JAX_NUM_CPU_DEVICES", str(num_cores()))

# name -> the module that holds its EXPERIMENT
EXPERIMENTS = {
    "maml_point": "experiments.maml_point",
    "maml_point_trpo": "experiments.maml_point_trpo",
    "maml_cartpole": "experiments.maml_cartpole",
    "maml_bernoulli_bandit": "experiments.maml_bernoulli_bandit",
    "maml_pendulum": "experiments.maml_pendulum",
    "maml_half_cheetah_velocity": "experiments.maml_half_cheetah_velocity",
    "maml_half_cheetah_direction": "experiments.maml_half_cheetah_direction",
    "maml_ant_velocity": "experiments.maml_ant_velocity",
    "maml_ant_direction": "experiments.maml_ant_direction",
    "anil_half_cheetah_velocity": "experiments.anil_half_cheetah_velocity",
    "pearl_point_half_circle": "experiments.pearl_point_half_circle",
    "pearl_half_cheetah_velocity": "experiments.pearl_half_cheetah_velocity",
    "rl2_bernoulli_bandit": "experiments.rl2_bernoulli_bandit",
    "rl2_grid_navi": "experiments.rl2_grid_navi",
    "rl2_tabular_mdp": "experiments.rl2_tabular_mdp",
    "task_embedding_point": "experiments.task_embedding_point",
    "varibad_grid_navi": "experiments.varibad_grid_navi",
    "hyperx_grid_navi": "experiments.hyperx_grid_navi",
}

# name -> the module that holds its COMPARISON
COMPARISONS = {
    "point": "experiments.compare_point",
    "point_corners": "experiments.compare_point_corners",
    "cartpole": "experiments.compare_cartpole",
    "tabular_mdp": "experiments.compare_tabular_mdp",
    "long_mdp": "experiments.compare_long_mdp",
    "regret": "experiments.compare_regret",
    "bandit": "experiments.compare_bandit",
    "half_cheetah_velocity": "experiments.compare_half_cheetah_velocity",
}


def load(name: str):
    """The `Experiment` of this name; COMPARISON:ROW names a row of a comparison.

    Raises:
      ValueError: if there is none; names those that there are.
    """
    comparison, colon, row = name.partition(":")
    if colon:
        return load_comparison(comparison).experiment(row)
    if name not in EXPERIMENTS:
        raise ValueError(
            f"no experiment '{name}'; choose from {', '.join(EXPERIMENTS)}"
        )
    return importlib.import_module(EXPERIMENTS[name]).EXPERIMENT


def load_comparison(name: str):
    """The `Comparison` of this name.

    Raises:
      ValueError: if there is none; names those that there are.
    """
    if name not in COMPARISONS:
        raise ValueError(
            f"no comparison '{name}'; choose from {', '.join(COMPARISONS)}"
        )
    return importlib.import_module(COMPARISONS[name]).COMPARISON
