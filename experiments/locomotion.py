"""Robots that are to run at a velocity or in a direction: how agents learn to.

The trials are those of Finn et al. (2017) and of their public code
(https://github.com/cbfinn/maml_rl, `maml_examples/cluster_maml_trpo_*.py`): episodes
of 200 steps, a linear feature baseline and one inner step of size 0.1 in training. At
test time all steps have that size but those of `anil`, while theirs (`test_maml_*.py`)
are shorter after the first: 0.5 times as long, in the ant's direction 0.01 times. The
outer loop, PPO in place of TRPO, and the network are our own choice, and alike for all
agents. So is `anil` as a whole: its last layer and its spread adapt, its inner
advantages are not normalised, and in tests its steps after the first are 0.2 times as
long.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

from experiments.experiment import Experiment
from metarl_jax.algorithms import (
    AlgorithmConfig,
    AnilConfig,
    FromScratchConfig,
    MamlConfig,
    MultiTaskConfig,
    PrompConfig,
)
from metarl_jax.evaluation import EvaluationConfig
from metarl_jax.gradient_methods import MetaGradientConfig
from metarl_jax.losses import AdvantageConfig
from metarl_jax.networks import NetworkConfig
from metarl_jax.optimizers import ProximalConfig
from metarl_jax.training import TrainingConfig

# family -> what the tasks are
FAMILIES = {
    "half_cheetah_velocity": "half-cheetahs with a target velocity from U[0, 2]",
    "half_cheetah_direction": "half-cheetahs that are to run forwards or backwards",
    "ant_velocity": "ants with a target velocity from U[0, 3]",
    "ant_direction": "ants that are to run forwards or backwards",
}
HORIZON = 200  # T
_BACKEND = "spring"  # of brax the fastest on a CPU
_ADAPTATION_STEPS = 3  # of a test

_ADVANTAGE = AdvantageConfig(trace_decay=0.95)
_UNSCALED = dataclasses.replace(_ADVANTAGE, normalize=False)
_NETWORK = NetworkConfig(hidden_sizes=(64, 64), initial_std=0.7)


@dataclasses.dataclass(frozen=True)
class Size:
    """How much an agent sees."""

    num_tasks: int  # N
    num_episodes: int  # E
    # of an agent that adapts, and collects before and after; others, which collect half
    # as much, have twice as many
    num_iterations: int
    num_seeds: int = 1
    num_test_tasks: int = 40
    learning_rate: float = 2e-3


FOR_CPU = Size(num_tasks=10, num_episodes=20, num_iterations=600)  # 48 M steps


class Agent(NamedTuple):
    """How an agent learns, and what it knows."""

    algorithm: Callable[[Size], AlgorithmConfig]
    knows_task: bool = False  # and is then tested without adaptation


def experiment(family: str, agent: str, size: Size) -> Experiment:
    """An agent that learns on a family of tasks.

    Args:
      family: one of `FAMILIES`.
      agent: one of `AGENTS`.
      size: of batches and of training.
    """
    make, knows_task = AGENTS[agent]
    algorithm = make(size)
    return Experiment(
        description=f"{agent} on {FAMILIES[family]}",
        environment=family,
        environment_options={"horizon": HORIZON, "backend": _BACKEND},
        algorithm=algorithm,
        observe_task=knows_task,
        training=TrainingConfig(
            num_iterations=_num_iterations(algorithm, size),
            num_tasks=size.num_tasks,
            num_seeds=size.num_seeds,
            iterations_per_chunk=1,
            iterations_per_checkpoint=10,
        ),
        evaluation=EvaluationConfig(
            num_tasks=size.num_test_tasks,
            num_adaptation_steps=0 if knows_task else _ADAPTATION_STEPS,
            num_episodes=size.num_episodes,
        ),
    )


def beside_oracle(family: str, agent: str) -> Experiment:
    """An agent that adapts to a family, in a size for the CPU, and an oracle."""
    trained = experiment(family, agent, FOR_CPU)
    return dataclasses.replace(
        trained, oracle_iterations=2 * trained.training.num_iterations
    )


def _random(size: Size) -> AlgorithmConfig:
    return FromScratchConfig(**_inner(size))


def _unadapted(size: Size) -> AlgorithmConfig:
    settings = _inner(size) | {"num_adaptation_steps": 0}
    return MultiTaskConfig(
        **settings,
        outer_advantage=_ADVANTAGE,
        outer=_proximal(size, 2 * size.num_iterations),
    )


def _adapting(
    kind: type[MetaGradientConfig], **settings: Any
) -> Callable[[Size], AlgorithmConfig]:
    """A learner that adapts; `settings` are those in which it differs from others."""
    return lambda size: kind(
        **_inner(size) | settings,
        outer_advantage=_ADVANTAGE,
        outer=_proximal(size, size.num_iterations),
    )


# name -> how it learns; in the order of the tables
AGENTS = {
    "random": Agent(_random),
    "oracle": Agent(_unadapted, knows_task=True),
    "multi_task": Agent(_unadapted),
    "maml": Agent(_adapting(MamlConfig)),
    "promp": Agent(_adapting(PrompConfig)),
    "anil": Agent(
        _adapting(
            AnilConfig,
            inner_advantage=_UNSCALED,
            inner_step_sizes=(0.1, 0.02),  # the second in tests alone
        )
    ),
}


def _inner(size: Size) -> dict:
    return {
        "num_episodes": size.num_episodes,
        "inner_step_sizes": (0.1,),
        "inner_advantage": _ADVANTAGE,
        "network": _NETWORK,
    }


def _proximal(size: Size, num_iterations: int) -> ProximalConfig:
    return ProximalConfig(
        learning_rate=size.learning_rate, decay_iterations=num_iterations, num_epochs=10
    )


def _num_iterations(algorithm: AlgorithmConfig, size: Size) -> int:
    if isinstance(algorithm, FromScratchConfig):
        return 1
    adapts = algorithm.num_adaptation_steps > 0
    return size.num_iterations * (1 if adapts else 2)
