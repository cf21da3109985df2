"""Checks of what is configured, in the one place where its values enter."""

from typing import Any


def require(condition: bool, message: str) -> None:
    """Raises ValueError with `message`, one line that names the mend, if not so."""
    if not condition:
        raise ValueError(message)


def require_positive(config: Any, *fields: str) -> None:
    """Raises ValueError if one of these fields of `config` is not above 0."""
    for field in fields:
        value = getattr(config, field)
        require(value > 0, f"{field} must be above 0, not {value}")


def num_training_tasks(env: Any) -> int:
    """How many tasks there are to train on, of an environment that numbers them.

    Raises:
      ValueError: if tasks are drawn anew each time.
    """
    count = getattr(env, "num_training_tasks", 0)
    require(
        count > 0,
        "this learner keeps something for each training task: set num_training_tasks "
        "of the experiment above 0",
    )
    return count


def num_task_parameters(env: Any) -> int:
    """How many of the last entries of an observation tell the task.

    Raises:
      ValueError: if observations do not tell it.
    """
    count = getattr(env, "num_task_parameters", 0)
    require(
        count > 0,
        "this learner reads the task from the observation: set observe_task of the "
        "experiment to True",
    )
    return count
