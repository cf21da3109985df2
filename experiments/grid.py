"""Grids of settings, as they are typed."""

import itertools
from collections.abc import Sequence


def points(axes: Sequence[str]) -> dict[str, list[str]]:
    """The points of a grid, the last axis changing fastest.

    Args:
      axes: of the form "field=a,b"; the values are written as on the command line of
        experiments.run, so that those of a tuple have spaces between: "field=1 2,3".

    Returns:
      The arguments that make each point, by its name: "field=1_2" takes
      ["--field", "1", "2"].

    Raises:
      ValueError: if there is no axis, or one is not of this form or repeats something,
        or two points would have the same name.
    """
    if not axes:
        raise ValueError("a sweep needs a grid: --grid field=a,b,c")
    parsed = list(map(_axis, axes))
    _check_distinct(fields(axes), "--grid")
    settings = [list(itertools.product([field], values)) for field, values in parsed]
    grid = list(itertools.product(*settings))
    names = [",".join(itertools.starmap(_name, point)) for point in grid]
    _check_distinct(names, "--grid, where a name has _ for a space and for /,")
    return dict(zip(names, map(_arguments, grid), strict=True))


def fields(axes: Sequence[str]) -> list[str]:
    """The field of each axis."""
    return [_axis(text)[0] for text in axes]


def _axis(text: str) -> tuple[str, list[str]]:
    """The field and the values of one axis."""
    field, _, values = text.partition("=")
    field = field.strip().removeprefix("--")
    values = [" ".join(value.split()) for value in values.split(",")]
    if not field or not all(values):
        raise ValueError(f"--grid takes field=a,b,c, not '{text}'")
    _check_distinct(values, field)
    return field, values


def _arguments(point: Sequence[tuple[str, str]]) -> list[str]:
    return [word for field, value in point for word in (f"--{field}", *value.split())]


def _name(field: str, value: str) -> str:
    return f"{field}={value.replace(' ', '_')}".replace("/", "_")


def _check_distinct(words: Sequence[str], where: str) -> None:
    for word in words:
        if words.count(word) > 1:
            raise ValueError(f"{where} has {word} twice")
