"""Half-cheetahs that are to run at an unknown velocity, on one simulator.

All are tested with two steps of adaptation, but not with the same data: gradient
methods, which are trained with one, adapt to ten episodes a step, PEARL, RL^2 and
VariBAD to one. PEARL is trained on 100 fixed tasks, the others on tasks drawn anew.
"""

import dataclasses

from experiments.comparison import Comparison, Row
from experiments.experiment import Experiment
from experiments.pearl_half_cheetah_velocity import EXPERIMENT as PEARL
from metarl_jax.algorithms import (
    MamlConfig,
    MultiTaskConfig,
    PrompConfig,
    Rl2Config,
    VaribadConfig,
)
from metarl_jax.belief_learning import BeliefLearningConfig
from metarl_jax.evaluation import EvaluationConfig
from metarl_jax.losses import AdvantageConfig
from metarl_jax.networks import NetworkConfig
from metarl_jax.optimizers import ProximalConfig
from metarl_jax.sequence_models import GruConfig
from metarl_jax.training import TrainingConfig
from metarl_jax.trial_autoencoder import AutoencoderConfig
from metarl_jax.trial_optimizers import TrialProximalConfig

_NETWORK = NetworkConfig(hidden_sizes=(64, 64), initial_std=0.7)
_ADVANTAGE = AdvantageConfig(trace_decay=0.95)
_INNER = {
    "num_episodes": 10,
    "inner_step_sizes": (0.1,),
    "inner_advantage": _ADVANTAGE,
    "outer_advantage": _ADVANTAGE,
    "network": _NETWORK,
}
# learning rates fall over the whole run
_PPO = ProximalConfig(learning_rate=2e-3, decay_iterations=1, num_epochs=10)
_UNADAPTED = MultiTaskConfig(
    **_INNER | {"num_adaptation_steps": 0, "num_episodes": 20}, outer=_PPO
)
_TRIAL = {
    "num_adaptation_steps": 2,
    # values, in units of a whole trial, are small, and so is the loss that they bring
    "outer": TrialProximalConfig(
        learning_rate=2e-3,
        decay_iterations=1,
        value_coefficient=20.0,
        entropy_coefficient=0.0,
    ),
}
_BELIEFS = BeliefLearningConfig(
    learning_rate=1e-3,
    decay_iterations=1,
    num_minibatches=4,
    batch_size=32,
    buffer_size=1024,
)

COMPARISON = Comparison(
    base=Experiment(
        description="half-cheetahs with a target velocity from U[0, 2]",
        environment="half_cheetah_velocity",
        environment_options={"horizon": 200, "backend": "spring"},
        algorithm=MamlConfig(**_INNER, outer=_PPO),
        training=TrainingConfig(
            num_tasks=10, iterations_per_chunk=1, iterations_per_checkpoint=20
        ),
        evaluation=EvaluationConfig(
            num_tasks=40, num_adaptation_steps=2, num_episodes=10
        ),
    ),
    rows={
        "maml": Row(MamlConfig(**_INNER, outer=_PPO)),
        "promp": Row(PrompConfig(**_INNER, outer=_PPO)),
        "rl2": Row(Rl2Config(**_TRIAL, memory=GruConfig(128)), num_tasks=16),
        "varibad": Row(
            VaribadConfig(
                **_TRIAL,
                autoencoder=AutoencoderConfig(memory=GruConfig(128)),
                belief_learning=_BELIEFS,
                network=_NETWORK,
            ),
            num_tasks=16,
        ),
        # fewer and smaller steps than there, for a CPU
        "pearl": Row(
            dataclasses.replace(
                PEARL.algorithm,
                num_episodes=1,
                num_updates=100,
                batch_size=64,
                meta_batch=10,
                learning_rate=1e-3,
            ),
            num_tasks=10,
            num_training_tasks=100,
            num_test_episodes=1,
        ),
        "multi_task": Row(_UNADAPTED),
        "oracle": Row(_UNADAPTED, observe_task=True),
    },
    budget=6_000_000,
)
