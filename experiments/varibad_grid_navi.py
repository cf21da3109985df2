"""VariBAD on GridNavi: believe where the goal may be, and search there."""

from experiments.experiment import Experiment
from metarl_jax.algorithms import VaribadConfig
from metarl_jax.belief_learning import BeliefLearningConfig
from metarl_jax.evaluation import EvaluationConfig
from metarl_jax.networks import NetworkConfig
from metarl_jax.reward_likelihoods import TwoValued
from metarl_jax.training import TrainingConfig
from metarl_jax.trial_autoencoder import AutoencoderConfig
from metarl_jax.trial_decoder import DecoderConfig
from metarl_jax.trial_optimizers import TrialProximalConfig

EXPERIMENT = Experiment(
    description="VariBAD in search of a cell of a grid, four episodes",
    environment="grid_navi",
    algorithm=VaribadConfig(
        num_adaptation_steps=3,
        autoencoder=AutoencoderConfig(
            decoder=DecoderConfig(
                likelihood=TwoValued(-0.1, 1.0), reward_of="one_observation"
            )
        ),
        belief_learning=BeliefLearningConfig(learning_rate=2e-3, decay_iterations=900),
        network=NetworkConfig((128, 64), activation="relu"),
        discount=0.99,
        trace_decay=0.95,
        outer=TrialProximalConfig(
            learning_rate=2e-3,
            decay_iterations=900,
            value_coefficient=5.0,
            entropy_coefficient=0.1,
        ),
    ),
    training=TrainingConfig(num_iterations=900, num_tasks=256),
    evaluation=EvaluationConfig(
        task_set="goals", num_adaptation_steps=3, num_episodes=100
    ),
)
