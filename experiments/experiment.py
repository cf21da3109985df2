"""What an experiment is: everything that a run depends on, as one constant."""

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import tyro

import envs
from envs.tasks import numbered, without_number
from envs.wrappers import TaskInObservation, WithNumberedTasks
from metarl_jax import algorithms
from metarl_jax.algorithms import AlgorithmConfig, MultiTaskConfig
from metarl_jax.checks import require
from metarl_jax.evaluation import (
    EvaluationConfig,
    adaptation_returns,
    check_task_set,
)
from metarl_jax.losses import AdvantageConfig
from metarl_jax.numbers import split_numbers
from metarl_jax.optimizers import AdamConfig, OuterConfig, ProximalConfig
from metarl_jax.task_axis import TaskAxis, default_task_axis, largest_divisor
from metarl_jax.training import (
    RunState,
    TrainingConfig,
    initial_state,
    meta_step,
    stage_returns,
    train,
)
from metarl_jax.trust_region import TrustRegionConfig
from metarl_jax.types import (
    Environment,
    Key,
    MetaAlgorithm,
    Metrics,
    Params,
    Rollout,
    Task,
)


@dataclasses.dataclass(frozen=True)
class Experiment:
    """An algorithm on a task distribution, and how it is trained and evaluated."""

    description: str
    environment: str
    algorithm: AlgorithmConfig
    environment_options: dict[str, Any] = dataclasses.field(default_factory=dict)
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    # iterations for the reference policy that is told the task; 0: no such reference
    oracle_iterations: int = 0
    # True: the policy is told the task, as part of its observation
    observe_task: bool = False
    # the size of a finite set of training tasks; 0: tasks are drawn anew each time
    num_training_tasks: int = 0
    # name -> published returns by adaptation step, drawn beside the results
    published: tyro.conf.Suppress[dict[str, list[float]]] = dataclasses.field(
        default_factory=dict
    )

    def __post_init__(self):
        steps = self.oracle_iterations
        require(steps >= 0, f"oracle_iterations must be 0 or more, not {steps}")
        count = self.num_training_tasks
        require(count >= 0, f"num_training_tasks must be 0 or more, not {count}")
        require(
            steps == 0 or self.algorithm.adapts_parameters,
            "an oracle learns with the inner loop of a gradient-based algorithm; for "
            "others set oracle_iterations to 0",
        )
        trained = self.algorithm.num_adaptation_steps
        tested = self.evaluation.num_adaptation_steps
        require(
            self.algorithm.tested_on_any_length or trained == tested,
            "a memory is tested on trials as long as those of training: set "
            "evaluation.num_adaptation_steps and algorithm.num_adaptation_steps alike, "
            f"not {tested} and {trained}",
        )


class Problem(NamedTuple):
    """An experiment, built."""

    env: Environment
    tasks: Any
    algorithm: MetaAlgorithm
    axis: TaskAxis
    numbers: tuple[float, ...]  # the floats of the algorithm's configuration
    # numbers -> the algorithm with those, in a program that has them as arguments
    with_numbers: Callable[[tuple], MetaAlgorithm]

    def step(self, num_tasks: int) -> Callable[..., tuple[RunState, Metrics]]:
        """`(run_state, numbers) -> (run_state, metrics)`, one meta-iteration."""

        def step(state: RunState, numbers: tuple) -> tuple[RunState, Metrics]:
            algorithm = self.with_numbers(numbers)
            iterate = meta_step(algorithm, self.tasks.train, self.axis, num_tasks)
            return iterate(state)

        return step

    def initial_state(self, config: TrainingConfig) -> RunState:
        """The state before the first iteration."""
        start = lambda numbers: initial_state(self.with_numbers(numbers), config)
        return jax.jit(start)(self.numbers)

    def train(
        self, config: TrainingConfig, state: RunState
    ) -> Iterator[tuple[RunState, Metrics]]:
        """Trains from `state`, as `training.train` does."""
        return train(
            self.step(config.num_tasks),
            state,
            self.axis,
            config.num_iterations,
            config.iterations_per_chunk,
            self.numbers,
        )

    def returns_program(
        self, tasks: Task, of_trial: Callable[[Rollout], Any] = stage_returns
    ) -> Callable[[Key, Params], Any]:
        """A compiled `(key, params) -> adaptation_returns` of these tasks.

        `of_trial` as in `adaptation_returns`.
        """

        @jax.jit
        def returns(key: Key, params: Params, tasks: Task, numbers: tuple) -> Any:
            algorithm = self.with_numbers(numbers)
            axis = self.axis.local()
            return adaptation_returns(key, algorithm, params, tasks, axis, of_trial)

        return lambda key, params: returns(key, params, tasks, self.numbers)

    def observes_goal_in_plane(self, tasks: Any) -> bool:
        """True where observations are positions and tasks are goals, both [2]."""
        tasks = without_number(tasks)
        is_goal = isinstance(tasks, jax.Array) and tasks.shape[1:] == (2,)
        return is_goal and self.env.observation_space.shape == (2,)


def build(
    experiment: Experiment, wrap: Callable[[Environment], Environment] | None = None
) -> Problem:
    """Builds environment, task distribution and algorithm, for training.

    Args:
      experiment: what is built.
      wrap: puts something around the environment of the family.

    Raises:
      ValueError: if a name is unknown or a value out of range; says what is valid.
    """
    env, tasks = envs.make(experiment.environment, **experiment.environment_options)
    cpu_chunk_size = _tasks_on_cpu(experiment, env)
    env = wrap(env) if wrap else env
    if experiment.observe_task:
        env = TaskInObservation(env, tasks)
    if experiment.num_training_tasks:
        env = WithNumberedTasks(env, experiment.num_training_tasks)
        tasks = numbered(tasks, experiment.num_training_tasks)
    training = experiment.training
    axis = default_task_axis(
        training.num_tasks,
        training.tasks_per_chunk or _tasks_at_once(experiment),
        training.num_devices,
        cpu_chunk_size=cpu_chunk_size,
    )
    numbers, rebuild = split_numbers(experiment.algorithm)
    algorithm = algorithms.make(env, experiment.algorithm, axis)
    with_numbers = lambda numbers: algorithms.make(env, rebuild(numbers), axis)
    return Problem(env, tasks, algorithm, axis, numbers, with_numbers)


def _tasks_at_once(experiment: Experiment) -> int | None:
    """None: what is fast on this platform where each task adapts parameters of its own.

    Otherwise all: with the same parameters, the products of all tasks are one.
    """
    if experiment.algorithm.adapts_parameters:
        return None
    return max(experiment.training.num_tasks, experiment.evaluation.num_tasks)


def _tasks_on_cpu(experiment: Experiment, env: Environment) -> Callable[[int], int]:
    """The smallest chunk, of tasks and of seeds, whose rows together are fast."""
    num_seeds = experiment.training.num_seeds
    enough = getattr(env, "rows_at_once", 1)

    def smallest(num_tasks: int) -> int:
        def is_enough(chunk: int) -> bool:
            sizes = num_tasks, num_seeds
            together = math.prod(largest_divisor(size, chunk) for size in sizes)
            return together * experiment.algorithm.num_episodes >= enough

        most = max(num_tasks, num_seeds)
        return next(filter(is_enough, range(1, most)), most)

    return smallest


def at_test_time(experiment: Experiment) -> Experiment:
    """The experiment with the number of steps and episodes of its evaluation."""
    algorithm = dataclasses.replace(
        experiment.algorithm,
        num_adaptation_steps=experiment.evaluation.num_adaptation_steps,
        num_episodes=experiment.evaluation.num_episodes,
    )
    return dataclasses.replace(experiment, algorithm=algorithm)


def check(experiment: Experiment) -> None:
    """Checks what can be checked of training and evaluation without compiling.

    Raises:
      ValueError: if a name is unknown or a value out of range; says what is valid.
    """
    tasks = build(at_test_time(experiment)).tasks
    check_task_set(tasks, experiment.evaluation)


def oracle_of(experiment: Experiment) -> Experiment:
    """One policy that is told the task and does not adapt: what could be reached."""
    return dataclasses.replace(
        experiment,
        description=f"Oracle of: {experiment.description}",
        algorithm=MultiTaskConfig(
            num_episodes=experiment.algorithm.num_episodes,
            outer_advantage=_outer_advantage(experiment.algorithm),
            outer=_oracle_outer(experiment),
            network=experiment.algorithm.network,
        ),
        training=dataclasses.replace(
            experiment.training, num_iterations=experiment.oracle_iterations
        ),
        evaluation=dataclasses.replace(experiment.evaluation, num_adaptation_steps=0),
        oracle_iterations=0,
        observe_task=True,
    )


def _outer_advantage(algorithm: AlgorithmConfig) -> AdvantageConfig:
    return getattr(algorithm, "outer_advantage", algorithm.inner_advantage)


def _oracle_outer(experiment: Experiment) -> OuterConfig:
    """The experiment's own outer loop, so that the oracle learns as much from its data.

    Where that is Adam, whose rate is one for meta-gradients, or none that is fit for
    plain policy gradients, it is Adam with a rate for these.
    """
    outer = getattr(experiment.algorithm, "outer", None)
    if type(outer) not in (ProximalConfig, TrustRegionConfig):
        return AdamConfig(3e-3)
    if getattr(outer, "decay_iterations", 0):
        steps = experiment.oracle_iterations
        return dataclasses.replace(outer, decay_iterations=steps)
    return outer


def env_steps_per_iteration(problem: Problem, num_tasks: int) -> int:
    """Environment steps of one meta-iteration of one seed: all that it collects."""
    key = jax.random.key(0)
    trial = jax.eval_shape(
        lambda key: problem.algorithm.collect(
            key, problem.algorithm.init(key), problem.tasks.train(key)
        ),
        key,
    )
    return num_tasks * trial.reward.size
