"""RL^2 on GridNavi: search for a hidden goal, then go straight to it."""

from experiments.experiment import Experiment
from metarl_jax.algorithms import Rl2Config
from metarl_jax.evaluation import EvaluationConfig
from metarl_jax.sequence_models import GruConfig
from metarl_jax.training import TrainingConfig
from metarl_jax.trial_optimizers import TrialProximalConfig

EXPERIMENT = Experiment(
    description="RL^2 with a GRU in search of a cell of a grid, four episodes",
    environment="grid_navi",
    algorithm=Rl2Config(
        num_adaptation_steps=3,
        memory=GruConfig(64),
        discount=1.0,
        trace_decay=0.97,
        outer=TrialProximalConfig(learning_rate=3e-3, decay_iterations=400),
    ),
    training=TrainingConfig(num_iterations=400, num_tasks=256),
    evaluation=EvaluationConfig(num_tasks=1000, num_adaptation_steps=3, num_episodes=1),
)
