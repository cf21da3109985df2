"""MAML on point navigation, at the budget of Finn et al. (2017) but not its settings.

As many environment steps as in the paper (16 M) go into twice as many meta-iterations
of three adaptation steps each, with the outer loss on all three adapted policies.
Policies start less random, since a spread of 1 cannot shrink far enough in 200 steps of
Adam to end episodes at the goal, and later adaptation steps are shorter, since those of
the paper overshoot there. `maml_point_trpo` has the settings of the paper.
"""

from experiments import published
from experiments.experiment import Experiment
from metarl_jax.algorithms import MamlConfig
from metarl_jax.evaluation import EvaluationConfig
from metarl_jax.networks import NetworkConfig
from metarl_jax.optimizers import AdamConfig
from metarl_jax.training import TrainingConfig

EXPERIMENT = Experiment(
    description="MAML on point navigation, Adam outside, 16 M steps as in the paper",
    environment="point",
    environment_options={"horizon": 100},
    algorithm=MamlConfig(
        num_adaptation_steps=3,
        num_episodes=20,
        inner_step_sizes=(0.5, 0.2, 0.1),
        outer_stages="adapted",
        outer=AdamConfig(learning_rate=4e-3, decay_iterations=200),
        network=NetworkConfig(hidden_sizes=(32, 32), initial_std=0.5),
    ),
    training=TrainingConfig(
        num_iterations=200, num_tasks=10, iterations_per_checkpoint=50
    ),
    evaluation=EvaluationConfig(
        task_set="finn2017", num_adaptation_steps=3, num_episodes=40
    ),
    oracle_iterations=200,
    published=published.finn2017("point"),
)
