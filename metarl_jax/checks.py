"""Checks of configurations, in the one place where their values enter."""

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
