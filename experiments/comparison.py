"""What a comparison is: algorithms on the same tasks, at equal steps or seconds."""

import dataclasses
from typing import Any

from experiments.experiment import Experiment, build, env_steps_per_iteration
from metarl_jax.algorithms import AlgorithmConfig, FromScratchConfig
from metarl_jax.evaluation import EvaluationConfig


@dataclasses.dataclass(frozen=True)
class Row:
    """An algorithm of a comparison, and where it differs from the others."""

    algorithm: AlgorithmConfig
    num_tasks: int | None = None  # N; None: as in the base
    # True: the policy is told the task, and tested without adaptation
    observe_task: bool = False
    num_training_tasks: int = 0  # of a finite set; 0: drawn anew each time
    num_test_episodes: int | None = None  # E of the test; None: as in the base


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Rows, by name, that are trained and tested alike."""

    base: Experiment  # its algorithm is not used
    rows: dict[str, Row]
    budget: int  # environment steps of a seed

    def experiment(
        self,
        name: str,
        budget: int | None = None,
        num_seeds: int = 1,
        num_devices: int | None = None,
    ) -> Experiment:
        """The experiment of one row, trained for a number of environment steps.

        Args:
          name: of the row.
          budget: environment steps of a seed; None: those of the comparison.
          num_seeds: independent runs.
          num_devices: None: as many as divide the number of tasks.

        Raises:
          ValueError: if there is no such row, or the budget is below one iteration.
        """
        experiment = self.one_iteration(name, num_seeds, num_devices)
        if not learns(experiment):
            return experiment
        budget = self.budget if budget is None else budget
        steps = env_steps(experiment)
        if budget < steps:
            raise ValueError(
                f"a budget of {budget} steps is below one iteration of {name}, "
                f"{steps} steps"
            )
        return trained_for(experiment, budget // steps)

    def one_iteration(
        self, name: str, num_seeds: int = 1, num_devices: int | None = None
    ) -> Experiment:
        """The experiment of one row, trained for a single iteration.

        Raises:
          ValueError: if there is no such row.
        """
        if name not in self.rows:
            raise ValueError(f"no row '{name}'; choose from {', '.join(self.rows)}")
        row = self.rows[name]
        num_tasks = row.num_tasks or self.base.training.num_tasks
        experiment = dataclasses.replace(
            self.base,
            description=f"{name}: {self.base.description}",
            algorithm=row.algorithm,
            observe_task=row.observe_task,
            num_training_tasks=row.num_training_tasks,
            evaluation=self._evaluation(row),
            training=dataclasses.replace(
                self.base.training,
                num_tasks=num_tasks,
                num_seeds=num_seeds,
                num_devices=num_devices,
            ),
        )
        return trained_for(experiment, 1)

    def adapting_rows(self) -> list[str]:
        """Names of the rows that are trained, and tested with adaptation."""
        return [
            name
            for name, row in self.rows.items()
            if _learns(row.algorithm) and not row.observe_task
        ]

    def _evaluation(self, row: Row) -> EvaluationConfig:
        config = self.base.evaluation
        return dataclasses.replace(
            config,
            num_adaptation_steps=0 if row.observe_task else config.num_adaptation_steps,
            num_episodes=row.num_test_episodes or config.num_episodes,
        )


def learns(experiment: Experiment) -> bool:
    """False where training changes nothing, so that one iteration is as good as any."""
    return _learns(experiment.algorithm)


def env_steps(experiment: Experiment) -> int:
    """Environment steps that training one seed takes; none if nothing is learned."""
    if not learns(experiment):
        return 0
    training = experiment.training
    steps = env_steps_per_iteration(build(experiment), training.num_tasks)
    return training.num_iterations * steps


def trained_for(experiment: Experiment, num_iterations: int) -> Experiment:
    """The experiment with that many iterations, over which learning rates fall."""
    return dataclasses.replace(
        experiment,
        algorithm=_falling_over(experiment.algorithm, num_iterations),
        training=dataclasses.replace(
            experiment.training, num_iterations=num_iterations
        ),
    )


def _falling_over(config: Any, num_iterations: int) -> Any:
    """The configuration with that many iterations for all in it that falls."""
    changes = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            changes[field.name] = _falling_over(value, num_iterations)
        elif field.name == "decay_iterations" and value:
            changes[field.name] = num_iterations
    return dataclasses.replace(config, **changes)


def _learns(algorithm: AlgorithmConfig) -> bool:
    return not isinstance(algorithm, FromScratchConfig)
