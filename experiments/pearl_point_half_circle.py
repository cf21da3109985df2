"""PEARL on the sparse point robot: try goals of the half circle until one pays.

As in the authors' code, critics learn from dense rewards, which exist in training
alone, and the encoder reads sparse ones, as at test time. There an iteration is a
thousand steps in each of 10 tasks of 80 and a thousand updates of networks of 300
units; here 200 steps in each of 50 tasks of 100 and 40 updates of networks of 64. With
few tasks and many updates the encoder learns the trials that it has by heart.

The weight of the KL is near theirs, which is 1 for a sum over 16 tasks and rewards of
100 times the size: 0.0016 here, where it is 0.002. Their encoder reads 1024 transitions
and not 100, and at test time they explore for five episodes from the prior and not for
one.
"""

from experiments.experiment import Experiment
from metarl_jax.algorithms import PearlConfig
from metarl_jax.evaluation import EvaluationConfig
from metarl_jax.networks import NetworkConfig
from metarl_jax.training import TrainingConfig

EXPERIMENT = Experiment(
    description="PEARL in search of a goal on a half circle, ten episodes of 20 steps",
    environment="point_half_circle",
    environment_options={"goal_radius": 0.3},
    algorithm=PearlConfig(
        num_adaptation_steps=9,
        num_episodes=1,
        num_context_stages=10,
        context_reward="sparse_reward",
        critic_reward="dense_reward",
        num_updates=40,
        context_size=100,
        batch_size=64,
        learning_rate=1e-3,
        discount=0.9,
        reward_scale=1.0,
        initial_temperature=0.1,
        target_entropy=-0.25,
        kl_weight=2e-3,
        policy=NetworkConfig((64, 64), "relu", state_dependent_std=True, squash=True),
        critic=NetworkConfig((64, 64), "relu"),
        encoder=NetworkConfig(
            (64, 64), "relu", state_dependent_std=True, initial_std=3.0
        ),
    ),
    training=TrainingConfig(
        num_iterations=800, num_tasks=50, iterations_per_checkpoint=100
    ),
    evaluation=EvaluationConfig(num_tasks=200, num_adaptation_steps=19, num_episodes=1),
    num_training_tasks=100,
)
