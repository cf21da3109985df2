"""The numbers of a configuration, as arguments of a compiled program."""

import dataclasses
from collections.abc import Callable
from typing import Any


def split_numbers(config: Any) -> tuple[tuple[float, ...], Callable[..., Any]]:
    """Takes the floats out of a configuration.

    A program that is compiled with the floats as arguments serves all configurations
    that differ in nothing else: another learning rate needs no compilation.

    Args:
      config: a dataclass; its floats may be in further dataclasses, tuples and dicts.
        All else, integers too, decides what is computed and stays.

    Returns:
      `(numbers, rebuild)`: `rebuild(numbers)` is the configuration with other numbers,
      which may be arrays, also ones that are being traced. Its `__post_init__` does
      not run: it has seen the floats already.
    """
    numbers = []
    _map_floats(numbers.append, config)

    def rebuild(numbers: tuple) -> Any:
        values = iter(numbers)
        return _map_floats(lambda _: next(values), config)

    return tuple(numbers), rebuild


def _map_floats(fn: Callable[[float], Any], node: Any) -> Any:
    if isinstance(node, float):
        return fn(node)
    if isinstance(node, tuple):
        return tuple(_map_floats(fn, entry) for entry in node)
    if isinstance(node, dict):
        return {name: _map_floats(fn, entry) for name, entry in node.items()}
    if dataclasses.is_dataclass(node):
        copy = object.__new__(type(node))
        for name, value in vars(node).items():
            object.__setattr__(copy, name, _map_floats(fn, value))
        return copy
    return node
