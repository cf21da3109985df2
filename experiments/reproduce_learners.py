"""The learned agents of the published tables, and how long each is trained."""

import dataclasses
import fnmatch
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from experiments.experiment import Experiment
from experiments.reproduce_cells import Cell
from experiments.reproduce_tables import TABULAR
from metarl_jax.algorithms import AlgorithmConfig, MamlConfig, Rl2Config
from metarl_jax.checks import require
from metarl_jax.conditioning import Hypernetwork
from metarl_jax.evaluation import EvaluationConfig
from metarl_jax.losses import AdvantageConfig
from metarl_jax.memory_policies import HeadConditioning, MemoryAlone
from metarl_jax.minibatches import MinibatchConfig
from metarl_jax.networks import Activation, NetworkConfig
from metarl_jax.optimizers import AdamConfig
from metarl_jax.sequence_models import (
    FastWeightsConfig,
    GruConfig,
    SequenceConfig,
    SnailConfig,
    TransformerConfig,
)
from metarl_jax.tabular_memory import Tabular
from metarl_jax.training import TrainingConfig
from metarl_jax.trial_credit import CreditName, NormalizedOver
from metarl_jax.trial_optimizers import TrialProximalConfig, TrialTrustRegionConfig


@dataclasses.dataclass(frozen=True)
class Budget:
    """How long an agent is trained in a cell."""

    steps_per_iteration: int  # environment steps of a seed, in as many trials as fit
    num_iterations: int
    num_seeds: int
    hidden_size: int = 64  # of the GRU of rl2_gru, and of what RL^2 embeds inputs in


# budget -> CELL/AGENT, the first pattern of which that matches counts
BUDGETS: dict[str, dict[str, Budget]] = {
    "small": {
        "bandit-n10-*/maml": Budget(4_000, 500, 3),
        "bandit-n100-*/maml": Budget(20_000, 200, 2),
        "mdp-N10/maml": Budget(20_000, 500, 2),
        "bandit-n10-*/rl2_tabular": Budget(10_240, 300, 3),
        "bandit-n100-*/rl2_tabular": Budget(25_600, 300, 2),
        "bandit-*/rl2_tabular": Budget(51_200, 150, 2),
        "mdp-N10/rl2_tabular": Budget(25_600, 400, 2),
        "mdp-*/rl2_tabular": Budget(38_400, 150, 2),
        "bandit-n10-*/rl2_gru": Budget(10_240, 800, 3),
        "bandit-n10-*/snail": Budget(5_120, 400, 2),
        "bandit-n10-*": Budget(10_240, 400, 2),
        "bandit-n100-k5/rl2_gru": Budget(51_200, 800, 2),
        "bandit-n100-*/rl2_gru": Budget(25_600, 1500, 2),
        "bandit-n500-*/rl2_gru": Budget(51_200, 300, 2),
        "bandit-n1000-*/rl2_gru": Budget(51_200, 400, 2),
        "mdp-N10/rl2_fast_weights": Budget(25_600, 1200, 2),
        "mdp-N100/rl2_fast_weights": Budget(38_400, 600, 2),
        "mdp-*/rl2_fast_weights": Budget(38_400, 450, 2),
        "mdp-N10/rl2_*": Budget(25_600, 2500, 2),
        "mdp-*/rl2_*": Budget(38_400, 600, 2),
        "gridnavi/rl2_gru": Budget(15_360, 800, 3),
        "mdp-*": Budget(51_200, 400, 1, hidden_size=128),
        "*": Budget(51_200, 400, 1),
    },
    # large batches, for an accelerator
    "paper": {
        "*-n10-*": Budget(51_200, 1000, 2),
        "*-n100-*": Budget(102_400, 1000, 2, hidden_size=128),
        "mdp-N10/*": Budget(102_400, 1000, 2, hidden_size=128),
        "*": Budget(256_000, 400, 2, hidden_size=128),
    },
}


class Learner(NamedTuple):
    """An algorithm, made for trials of a cell."""

    # differences to the options of the cell's environment
    environment_options: dict[str, Any]
    algorithm: AlgorithmConfig


class Tuning(NamedTuple):
    """What RL^2 was tuned in, by trying few values.

    Bandits of 10 and 50 arms with 100 pulls were tried with 50 arms and a GRU, those of
    more pulls with 50 arms, 500 pulls and a GRU, MDPs in 10 episodes with a GRU; their
    discount in 100 episodes with fast weights, and their final fraction in 50; all with
    iterations of the size of the budget `small`. Other memories take these values over,
    but for `_TABULAR_CHANGES`, which were tried in 100 episodes and in 10 arms with 500
    pulls; other cells take them over, except those of 10 pulls, which were at the
    optimum, of 100, where regret brought no more than rewards, and of 10 episodes, in
    which it was not tried.
    """

    trace_decay: float
    entropy_coefficient: float
    discount: float = 1.0
    learning_rate: float = 3e-3
    # of learning rate and entropy bonus, to which they fall
    final_fraction: float = 0.0
    # of values that are small: their unit is the discounted return of a trial
    value_coefficient: float = 0.5
    embedding_activation: Activation = "relu"
    conditioning: HeadConditioning = MemoryAlone()
    credit: CreditName = "reward"
    normalized_over: NormalizedOver = "trials"


_SHORT = Tuning(trace_decay=0.8, entropy_coefficient=0.003)  # trials of ten steps
_BANDIT = Tuning(
    trace_decay=0.8,
    entropy_coefficient=0.1,
    learning_rate=4e-3,
    value_coefficient=20.0,
    embedding_activation="bilinear",
)
_MDP = Tuning(  # what is known is of pairs of a state and an action
    trace_decay=0.4,
    entropy_coefficient=0.2,
    learning_rate=8e-3,
    value_coefficient=20.0,
    embedding_activation="bilinear",
    conditioning=Hypernetwork(),
)
_TUNED = {
    "bandit-n100-k5": Tuning(0.97, entropy_coefficient=0.01, value_coefficient=20.0),
    "bandit-n100-*": _BANDIT._replace(discount=0.98),
    "bandit-*": _BANDIT._replace(discount=0.99),
    "mdp-N10": _MDP,
    "mdp-*": _MDP._replace(discount=0.99, final_fraction=0.25),
    "gridnavi": Tuning(trace_decay=0.97, entropy_coefficient=0.1),
}


def rl2(memory: SequenceConfig, cell: Cell, budget: Budget, **changes: Any) -> Learner:
    """RL^2 with this memory, by PPO; a trial of the cell is one life.

    What is reported is the sum of rewards. Most cells are learned with a discount
    nevertheless; `compare_long_mdp.py` measures what it brings in one of them.
    `changes`: to the tuning of the cell.
    """
    tuning = _SHORT if cell.num_steps <= 10 else _matching(_TUNED, cell.name)
    tuning = tuning._replace(**changes)
    algorithm = Rl2Config(
        num_adaptation_steps=cell.num_episodes - 1,
        memory=memory,
        embedding_sizes=(budget.hidden_size,),
        embedding_activation=tuning.embedding_activation,
        conditioning=tuning.conditioning,
        discount=tuning.discount,
        trace_decay=tuning.trace_decay,
        credit=tuning.credit,
        outer=TrialProximalConfig(
            learning_rate=tuning.learning_rate,
            decay_iterations=budget.num_iterations,
            final_fraction=tuning.final_fraction,
            entropy_coefficient=tuning.entropy_coefficient,
            value_coefficient=tuning.value_coefficient,
            normalized_over=tuning.normalized_over,
        ),
    )
    return Learner({}, algorithm)


def rl2_gru(cell: Cell, budget: Budget) -> Learner:
    """RL^2 with gated recurrent units."""
    return rl2(GruConfig(budget.hidden_size), cell, budget)


def rl2_tabular(cell: Cell, budget: Budget) -> Learner:
    """`rl2_gru`, with a memory of few units for each pair of a state and an action.

    From 500 pulls and from 25 episodes on it learns from regret, for which its training
    knows what is best.
    """
    memory = GruConfig(_TABULAR_UNITS[cell.table])
    learner = rl2(memory, cell, budget, **_matching(_TABULAR_CHANGES, cell.name))
    algorithm = dataclasses.replace(
        learner.algorithm,
        embedding_sizes=(),
        conditioning=Tabular(),
        head=NetworkConfig(hidden_sizes=(16,), activation="relu"),
    )
    return learner._replace(algorithm=algorithm)


_TABULAR_UNITS = {"bandits": 8, "mdps": 16}
# with which long traces are better, in 100 episodes
_REGRET = {
    "credit": "regret",
    "normalized_over": "tasks",
    "discount": 0.99,
    "trace_decay": 1.0,
}
_TABULAR_CHANGES = {
    "bandit-n10-*": {},
    "bandit-n100-*": {},
    "bandit-*": _REGRET,
    "mdp-N10": {},
    "mdp-*": _REGRET | {"entropy_coefficient": 0.1, "final_fraction": 0.2},
}


def rl2_trpo(cell: Cell, budget: Budget) -> Learner:
    """`rl2_gru` with the outer loop of Duan et al. in place of PPO."""
    learner = rl2_gru(cell, budget)
    outer = TrialTrustRegionConfig(critic=MinibatchConfig(learning_rate=3e-3))
    algorithm = dataclasses.replace(learner.algorithm, outer=outer)
    return learner._replace(algorithm=algorithm)


def maml(cell: Cell, budget: Budget) -> Learner:
    """MAML that lives through a trial in stages, with a gradient step after each.

    All stages count. Those after the first are what is learned from; they are as long
    as each other, since the papers say nothing of how theirs was split. Without a
    baseline: it would be fitted to the few steps of a stage, and explain them all.
    """
    make = _MAML_STAGES[cell.table]
    environment_options, num_stages, num_episodes, advantage = make(cell)
    algorithm = MamlConfig(
        num_adaptation_steps=num_stages - 1,
        num_episodes=num_episodes,
        inner_step_sizes=(1.0,),
        inner_advantage=advantage,
        outer_advantage=advantage,
        outer_stages="adapted",
        outer=AdamConfig(learning_rate=3e-3, decay_iterations=budget.num_iterations),
        network=NetworkConfig(hidden_sizes=(64, 64)),
    )
    return Learner(environment_options, algorithm)


def _bandit_stages(cell: Cell):
    """Pulls of a stage are episodes of one step each, and so all of them are alike.

    Ten stages; where they are of one pull only, there is no mean to compare it with.
    """
    num_pulls = cell.num_steps // 10
    normalize = num_pulls > 1
    advantage = AdvantageConfig(baseline="none", discount=0.0, normalize=normalize)
    return {"horizon": 1}, 10, num_pulls, advantage


def _mdp_stages(cell: Cell):
    num_stages = 5
    advantage = AdvantageConfig(baseline="none", discount=0.9)
    return {}, num_stages, cell.num_episodes // num_stages, advantage


def _gridnavi_stages(cell: Cell):
    return {}, cell.num_episodes, 1, AdvantageConfig(baseline="none", discount=0.95)


_MAML_STAGES = {
    "bandits": _bandit_stages,
    "mdps": _mdp_stages,
    "gridnavi": _gridnavi_stages,
}

# agent -> (cell, budget) -> Learner; in the order of the tables
LEARNERS: dict[str, Callable[[Cell, Budget], Learner]] = {
    "rl2_gru": rl2_gru,
    TABULAR: rl2_tabular,
    # segments make it faster on a CPU
    "rl2_fast_weights": partial(rl2, FastWeightsConfig(segment_length=20)),
    "rl2_trpo": rl2_trpo,
    "transformer": partial(rl2, TransformerConfig(num_layers=1), learning_rate=1e-3),
    "snail": partial(rl2, SnailConfig(), learning_rate=1e-3),
    "maml": maml,
}


def agents(
    cell: Cell, budget: str, num_iterations: int | None = None
) -> dict[str, Experiment]:
    """The `experiment` of each of the `learners`, by name."""
    names = learners(cell)
    return {name: experiment(cell, name, budget, num_iterations) for name in names}


def learners(cell: Cell) -> tuple[str, ...]:
    """Those of `LEARNERS` that can learn in a cell; GridNavi observes coordinates."""
    is_tabular = cell.table in _TABULAR_UNITS
    return tuple(name for name in LEARNERS if is_tabular or name != TABULAR)


def experiment(
    cell: Cell, agent: str, budget: str, num_iterations: int | None = None
) -> Experiment:
    """How an agent is trained for a cell.

    The evaluation has the K and E of training, so that a trial at test time is one of
    the cell, all steps counted.

    Args:
      cell: what a trial is.
      agent: one of `learners`.
      budget: one of BUDGETS.
      num_iterations: in place of those of the budget.

    Raises:
      ValueError: if there is no such agent or budget; names those that there are.
    """
    choices = learners(cell)
    require(
        agent in choices,
        f"no agent '{agent}' in {cell.name}; choose from {', '.join(choices)}",
    )
    size = budget_of(cell, agent, budget)
    if num_iterations is not None:
        size = dataclasses.replace(size, num_iterations=num_iterations)
    learner = LEARNERS[agent](cell, size)
    algorithm = learner.algorithm
    return Experiment(
        description=f"{agent} on {cell.name}, budget {budget}",
        environment=cell.environment,
        environment_options=cell.environment_options | learner.environment_options,
        algorithm=algorithm,
        training=TrainingConfig(
            num_iterations=size.num_iterations,
            num_tasks=_num_tasks(cell, size),
            num_seeds=size.num_seeds,
        ),
        evaluation=EvaluationConfig(
            num_adaptation_steps=algorithm.num_adaptation_steps,
            num_episodes=algorithm.num_episodes,
        ),
    )


def with_one_seed(
    cell: Cell,
    agent: str,
    description: str,
    num_tasks: int,
    num_iterations: int | None = None,
) -> Experiment:
    """The `experiment` of the budget `small` with one seed, to be run by its own name.

    Args:
      cell: what a trial is.
      agent: one of `learners`.
      description: one line.
      num_tasks: of its evaluation.
      num_iterations: in place of those of the budget.
    """
    row = experiment(cell, agent, "small", num_iterations)
    training = dataclasses.replace(row.training, num_seeds=1)
    return described(
        dataclasses.replace(row, training=training), description, num_tasks
    )


def described(row: Experiment, description: str, num_tasks: int) -> Experiment:
    """An `experiment` for other purposes than its table.

    Args:
      row: what is trained.
      description: one line.
      num_tasks: of its evaluation.
    """
    evaluation = dataclasses.replace(row.evaluation, num_tasks=num_tasks)
    return dataclasses.replace(row, description=description, evaluation=evaluation)


def budget_of(cell: Cell, agent: str, budget: str) -> Budget:
    """The first entry of a budget that matches.

    Raises:
      ValueError: if there is no such budget; names those that there are.
    """
    if budget not in BUDGETS:
        raise ValueError(f"no budget '{budget}'; choose from {', '.join(BUDGETS)}")
    return _matching(BUDGETS[budget], f"{cell.name}/{agent}")


def _matching(by_pattern: dict[str, Any], name: str) -> Any:
    """The value of the first pattern that matches a name."""
    items = by_pattern.items()
    return next(value for pattern, value in items if fnmatch.fnmatch(name, pattern))


def _num_tasks(cell: Cell, size: Budget) -> int:
    """Trials of an iteration: a multiple of 16, which minibatches and devices share."""
    return max(1, size.steps_per_iteration // cell.num_steps // 16) * 16
