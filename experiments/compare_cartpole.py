"""Algorithms on cart-poles of unknown size, and unknown sign of the force."""

from experiments.comparison import Comparison, Row
from experiments.experiment import Experiment
from metarl_jax.algorithms import (
    AnilConfig,
    CaviaConfig,
    EMamlConfig,
    FomamlConfig,
    FromScratchConfig,
    MamlConfig,
    MetaSgdConfig,
    MultiTaskConfig,
    PrompConfig,
    ReptileConfig,
)
from metarl_jax.evaluation import EvaluationConfig
from metarl_jax.networks import NetworkConfig
from metarl_jax.optimizers import AdamConfig, ProximalConfig
from metarl_jax.training import TrainingConfig

_INNER = {
    "num_adaptation_steps": 1,
    "num_episodes": 20,
    "inner_step_sizes": (0.5, 0.25),
    "network": NetworkConfig(hidden_sizes=(32, 32)),
}
# learning rates fall over the whole run
_ADAM = AdamConfig(learning_rate=1e-2, decay_iterations=1)
_PPO = ProximalConfig(learning_rate=4e-3, decay_iterations=1)
_MAML = _INNER | {"outer": _ADAM}
_UNADAPTED = MultiTaskConfig(**_MAML | {"num_adaptation_steps": 0})

COMPARISON = Comparison(
    base=Experiment(
        description="cart-poles whose masses, length, gravity and force vary",
        environment="cartpole",
        environment_options={"horizon": 200, "signed_force": True},
        algorithm=MamlConfig(**_MAML),
        training=TrainingConfig(num_tasks=10, iterations_per_checkpoint=50),
        evaluation=EvaluationConfig(num_adaptation_steps=3, num_episodes=20),
    ),
    rows={
        "maml": Row(MamlConfig(**_MAML)),
        "promp": Row(PrompConfig(**_MAML | {"outer": _PPO})),
        "fomaml": Row(FomamlConfig(**_MAML)),
        "e_maml": Row(EMamlConfig(**_MAML)),
        "meta_sgd": Row(MetaSgdConfig(**_MAML)),
        "anil": Row(AnilConfig(**_MAML)),
        "cavia": Row(
            CaviaConfig(**_MAML | {"inner_step_sizes": (1.0, 0.5)}, context_size=10)
        ),
        "reptile": Row(ReptileConfig(**_INNER)),
        "multi_task": Row(_UNADAPTED),
        "oracle": Row(_UNADAPTED, observe_task=True),
        "from_scratch": Row(FromScratchConfig(**_INNER)),
    },
    budget=6_400_000,
)
