"""Checks of what is configured, in the one place where its values enter."""

from collections.abc import Iterable
from typing import Any, get_args


def require(condition: bool, message: str) -> None:
    """Raises ValueError with `message`, one line that names the mend, if not so."""
    if not condition:
        raise ValueError(message)


def require_positive(config: Any, *fields: str) -> None:
    """Raises ValueError if one of these fields of `config` is not above 0."""
    for field in fields:
        value = getattr(config, field)
        require(value > 0, f"{field} must be above 0, not {value}")


def require_not_negative(config: Any, *fields: str) -> None:
    """Raises ValueError if one of these fields of `config` is below 0."""
    for field in fields:
        value = getattr(config, field)
        require(value >= 0, f"{field} must be 0 or more, not {value}")


def require_fraction(config: Any, *fields: str) -> None:
    """Raises ValueError if one of these fields of `config` is outside [0, 1]."""
    for field in fields:
        value = getattr(config, field)
        require(0 <= value <= 1, f"{field} must be between 0 and 1, not {value}")


def require_one_of(config: Any, field: str, choices: Iterable[str]) -> None:
    """Raises ValueError if this field of `config` is none of the choices."""
    value = getattr(config, field)
    known = tuple(choices)
    require(value in known, f"{field} must be one of {', '.join(known)}, not {value}")


def require_seeds(first: int, count: int = 1) -> None:
    """Raises ValueError if one of `count` seeds, from `first` on, makes no key."""
    require(first >= 0, f"seed must be 0 or more, not {first}")
    last = first + count - 1
    require(last < 2**31, f"seeds must be below 2**31, and the last is {last}")


def require_choices(name: str, values: tuple[str, ...], choices: Any) -> None:
    """Raises ValueError if `values` are none, or not all of the `Literal` choices."""
    known = get_args(choices)
    valid = bool(values) and set(values) <= set(known)
    require(valid, f"{name} must be of {', '.join(known)}, not {', '.join(values)}")


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


def num_states(env: Any) -> int:
    """How many states there are, of an environment that observes them one-hot.

    Raises:
      ValueError: if they cannot be counted, or the task is observed beside them.
    """
    count = getattr(env, "num_states", 0)
    require(
        count > 0,
        "Tabular takes one-hot observations of a finite number of states: set "
        "conditioning to another kind, or observe_task of the experiment to False",
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
