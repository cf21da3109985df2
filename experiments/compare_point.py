"""Every algorithm on point navigation, on the goals of the literature.

All are tested with three steps of adaptation, but not with the same data: gradient
methods adapt to 40 episodes a step, PEARL, RL^2 and VariBAD to one. PEARL and the task
embedding are trained on 100 fixed tasks, the others on tasks drawn anew. Those that
have an outer loss learn from all adapted policies, as `maml_point` does; what differs
from row to row is said below. Settings were chosen by hand on one seed, with more
effort for some rows than for others.
"""

import dataclasses

from experiments import published
from experiments.comparison import Comparison, Row
from experiments.experiment import Experiment
from metarl_jax.algorithms import (
    AnilConfig,
    CaviaConfig,
    EMamlConfig,
    EsMamlConfig,
    FomamlConfig,
    FromScratchConfig,
    ImamlConfig,
    MamlConfig,
    MetaSgdConfig,
    MultiTaskConfig,
    PearlConfig,
    PrompConfig,
    ReptileConfig,
    Rl2Config,
    TaskEmbeddingConfig,
    VaribadConfig,
)
from metarl_jax.belief_learning import BeliefLearningConfig
from metarl_jax.evaluation import EvaluationConfig
from metarl_jax.networks import NetworkConfig
from metarl_jax.optimizers import AdamConfig, ProximalConfig, TrustRegionConfig
from metarl_jax.training import TrainingConfig
from metarl_jax.trial_autoencoder import AutoencoderConfig
from metarl_jax.trial_decoder import DecoderConfig
from metarl_jax.trial_optimizers import TrialProximalConfig

_NETWORK = NetworkConfig(hidden_sizes=(32, 32), initial_std=0.5)
_INNER = {
    "num_adaptation_steps": 3,
    "num_episodes": 20,
    "inner_step_sizes": (0.5, 0.2, 0.1),
    "network": _NETWORK,
}
_ADAM = AdamConfig(learning_rate=4e-3, decay_iterations=1)  # falls over the whole run
_PPO = ProximalConfig(learning_rate=2e-3, decay_iterations=1)
_OUTER = {"outer_stages": "adapted", "outer": _ADAM}
_MAML = _INNER | _OUTER
# values, in units of a whole trial, are small, and so is the loss that they bring
_TRIAL_PPO = TrialProximalConfig(
    learning_rate=2e-3, decay_iterations=1, value_coefficient=20.0
)
_TRIAL = {"num_adaptation_steps": 3, "trace_decay": 0.8}
# as many steps of the autoencoder as of the policy
_BELIEFS = BeliefLearningConfig(
    learning_rate=4e-3, decay_iterations=1, num_minibatches=16, batch_size=16
)

COMPARISON = Comparison(
    base=Experiment(
        description="point navigation, 40 goals of Finn et al. (2017)",
        environment="point",
        environment_options={"horizon": 100},
        algorithm=MamlConfig(**_MAML),
        training=TrainingConfig(num_tasks=10, iterations_per_checkpoint=50),
        evaluation=EvaluationConfig(
            task_set="finn2017", num_adaptation_steps=3, num_episodes=40
        ),
        published=published.finn2017("point"),
    ),
    rows={
        "maml": Row(MamlConfig(**_MAML)),
        "maml_ppo_inner": Row(
            MamlConfig(
                **_MAML | {"inner_step_sizes": (0.25, 0.1, 0.05)},
                inner_surrogate="clipped",
                inner_surrogate_options={"clip_range": 1.0},
                inner_updates=2,
            )
        ),
        "maml_trpo": Row(MamlConfig(**_MAML | {"outer": TrustRegionConfig()})),
        "maml_ppo": Row(MamlConfig(**_MAML | {"outer": _PPO})),
        "promp": Row(PrompConfig(**_MAML | {"outer": _PPO})),
        "maml_dice": Row(MamlConfig(**_MAML, inner_surrogate="dice")),
        "maml_taypo2": Row(MamlConfig(**_MAML, inner_surrogate="taypo2")),
        "fomaml": Row(FomamlConfig(**_MAML)),
        "e_maml": Row(EMamlConfig(**_MAML)),
        "meta_sgd": Row(
            MetaSgdConfig(
                **_MAML | {"outer": AdamConfig(learning_rate=8e-3, decay_iterations=1)}
            )
        ),
        "anil": Row(AnilConfig(**_MAML)),
        "cavia": Row(
            CaviaConfig(
                **_MAML | {"inner_step_sizes": (1.0, 0.5, 0.25)}, context_size=10
            )
        ),
        # a spread that shrinks further makes the inner loss too curved for a minimum
        "imaml": Row(
            ImamlConfig(
                **_MAML
                | {
                    "inner_step_sizes": (0.2, 0.08, 0.04),
                    "network": dataclasses.replace(_NETWORK, smallest_std=0.1),
                }
            )
        ),
        "reptile": Row(ReptileConfig(**_INNER)),
        "es_maml": Row(
            EsMamlConfig(
                **_INNER | {"num_adaptation_steps": 1, "num_episodes": 5},
                population_size=40,
                perturbation=0.1,
                learning_rate=4e-2,
            ),
            num_tasks=4,
        ),
        "rl2": Row(Rl2Config(**_TRIAL, outer=_TRIAL_PPO), num_tasks=16),
        "varibad": Row(
            VaribadConfig(
                **_TRIAL,
                # the reward is the distance to the goal from where a step has led
                autoencoder=AutoencoderConfig(
                    decoder=DecoderConfig(reward_of="next_observation")
                ),
                belief_learning=_BELIEFS,
                network=NetworkConfig((64, 64), "relu", initial_std=0.5),
                outer=dataclasses.replace(_TRIAL_PPO, entropy_coefficient=0.0),
            ),
            num_tasks=16,
        ),
        # as on the half circle, with the dense reward that is also tested
        "pearl": Row(
            PearlConfig(
                num_adaptation_steps=3,
                num_context_stages=4,
                context_size=100,
                num_updates=100,
                batch_size=64,
                meta_batch=10,
                learning_rate=1e-3,
                discount=0.9,
                reward_scale=1.0,
                initial_temperature=0.1,
                kl_weight=2e-3,
                policy=NetworkConfig(
                    (64, 64), "relu", state_dependent_std=True, squash=True
                ),
                critic=NetworkConfig((64, 64), "relu"),
                encoder=NetworkConfig(
                    (64, 64), "relu", state_dependent_std=True, initial_std=3.0
                ),
            ),
            num_training_tasks=100,
            num_test_episodes=1,
        ),
        "task_embedding": Row(
            TaskEmbeddingConfig(
                **_INNER | {"inner_step_sizes": (0.05, 0.03, 0.02)},
                outer=TrialProximalConfig(learning_rate=2e-3, decay_iterations=1),
            ),
            num_tasks=20,
            num_training_tasks=100,
        ),
        "multi_task": Row(
            MultiTaskConfig(**_INNER | {"num_adaptation_steps": 0}, outer=_ADAM)
        ),
        "oracle": Row(
            MultiTaskConfig(**_INNER | {"num_adaptation_steps": 0}, outer=_ADAM),
            observe_task=True,
        ),
        "from_scratch": Row(FromScratchConfig(**_INNER)),
    },
    budget=8_000_000,
)
