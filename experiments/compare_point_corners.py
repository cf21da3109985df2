"""Estimators and algorithms on the sparse four-corner task of ProMP.

Three adaptation steps, as in the paper. Where the reward is sparse, what counts is that
the policy before adaptation finds the corner, so that the rows of the estimators differ
in the credit that they give to that.
"""

from experiments.comparison import Comparison, Row
from experiments.experiment import Experiment
from metarl_jax.algorithms import (
    EMamlConfig,
    FomamlConfig,
    FromScratchConfig,
    MamlConfig,
    MultiTaskConfig,
    PrompConfig,
    ReptileConfig,
)
from metarl_jax.evaluation import EvaluationConfig
from metarl_jax.networks import NetworkConfig
from metarl_jax.optimizers import AdamConfig, ProximalConfig
from metarl_jax.training import TrainingConfig

_INNER = {
    "num_adaptation_steps": 3,
    "num_episodes": 20,
    "inner_step_sizes": (0.5,),
    "network": NetworkConfig(hidden_sizes=(32, 32), initial_std=1.0),
}
# learning rates fall over the whole run
_ADAM = AdamConfig(learning_rate=1e-2, decay_iterations=1)
_PPO = ProximalConfig(learning_rate=4e-3, decay_iterations=1)
_MAML = _INNER | {"outer": _ADAM}
_UNADAPTED = MultiTaskConfig(**_MAML | {"num_adaptation_steps": 0})

COMPARISON = Comparison(
    base=Experiment(
        description="the four corners of Rothfuss et al. (2019), sparse reward",
        environment="point_corners",
        environment_options={"horizon": 100},
        algorithm=MamlConfig(**_MAML),
        training=TrainingConfig(num_tasks=10, iterations_per_checkpoint=50),
        evaluation=EvaluationConfig(
            task_set="corners", num_adaptation_steps=3, num_episodes=40
        ),
    ),
    rows={
        "maml": Row(MamlConfig(**_MAML)),
        "maml_log_probability": Row(
            MamlConfig(**_MAML, inner_surrogate="log_probability")
        ),
        "maml_dice": Row(MamlConfig(**_MAML, inner_surrogate="dice")),
        "maml_taypo2": Row(MamlConfig(**_MAML, inner_surrogate="taypo2")),
        "e_maml": Row(EMamlConfig(**_MAML)),
        "fomaml": Row(FomamlConfig(**_MAML)),
        "promp": Row(PrompConfig(**_MAML | {"outer": _PPO})),
        "reptile": Row(ReptileConfig(**_INNER)),
        "multi_task": Row(_UNADAPTED),
        "oracle": Row(_UNADAPTED, observe_task=True),
        "from_scratch": Row(FromScratchConfig(**_INNER)),
    },
    budget=8_000_000,
)
