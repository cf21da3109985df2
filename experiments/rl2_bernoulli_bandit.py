"""RL^2 on Bernoulli bandits: near the Bayes-optimal agent in under a minute."""

from experiments.experiment import Experiment
from metarl_jax.algorithms import Rl2Config
from metarl_jax.evaluation import EvaluationConfig
from metarl_jax.sequence_models import GruConfig
from metarl_jax.training import TrainingConfig
from metarl_jax.trial_optimizers import TrialProximalConfig

EXPERIMENT = Experiment(
    description="RL^2 with a GRU on bandits of 5 arms, trials of 10 pulls",
    environment="bernoulli_bandit",
    environment_options={"num_arms": 5, "horizon": 10},
    algorithm=Rl2Config(
        num_adaptation_steps=0,  # a trial is one episode
        memory=GruConfig(64),
        discount=1.0,
        trace_decay=0.8,
        outer=TrialProximalConfig(
            learning_rate=3e-3, decay_iterations=600, entropy_coefficient=0.003
        ),
    ),
    training=TrainingConfig(num_iterations=600, num_tasks=1024),
    evaluation=EvaluationConfig(num_tasks=2000, num_adaptation_steps=0, num_episodes=1),
)
