"""Checks of the options of task families, in the one place where they enter."""

import math
import numbers
import operator
from collections.abc import Sequence
from typing import Any


def checked_integer(name: str, value: Any, minimum: int) -> int:
    """Returns `value` as an int.

    Raises:
      ValueError: if it is not an integer of at least `minimum`.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < minimum:
        raise ValueError(f"{name} must be an integer >= {minimum}, not {value!r}")
    return number


def checked_number(name: str, value: Any, minimum: float) -> float:
    """Returns `value` as a float.

    Raises:
      ValueError: if it is not a finite number of at least `minimum`.
    """
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value < minimum:
        raise ValueError(f"{name} must be a number >= {minimum}, not {value!r}")
    return float(value)


def checked_physics_step(value: Any, control_step: float) -> int:
    """Returns how many steps of `value` seconds make a control step.

    Raises:
      ValueError: if it does not divide the control step.
    """
    value = checked_number("physics_step", value, minimum=1e-9)
    number = max(round(control_step / value), 1)
    if abs(number * value / control_step - 1) > 1e-4:
        raise ValueError(
            f"physics_step must divide the control step of {control_step:.6g} s, as "
            f"{control_step / number:.6g} does and {value:.6g} does not"
        )
    return number


def checked_choice(name: str, value: Any, choices: Sequence[str]) -> str:
    """Returns `value`.

    Raises:
      ValueError: if it is not one of `choices`.
    """
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, not {value!r}")
    return value


def checked_boolean(name: str, value: Any) -> bool:
    """Returns `value`.

    Raises:
      ValueError: if it is not True or False.
    """
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False, not {value!r}")
    return value
