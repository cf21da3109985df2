"""The options of a task family on the command line: all that it has, with defaults."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import tyro

REGISTRY = tyro.constructors.ConstructorRegistry()  # of rules for tyro


class FamilyOptions(dict):
    """Some options of a family, from which a parser learns of all others."""

    def __init__(self, family: str, given: Mapping[str, Any]):
        super().__init__(given)
        self.family = family


def offering_all(default: Any, environment: str | None) -> Any:
    """The defaults of a command line, changed so that all options may be given.

    A parser with `REGISTRY` gives back those that are in the experiment, and of the
    others those that are set to something else than their default. What the experiment
    sets is of its own family: another one begins with all its defaults.

    Args:
      default: an `Experiment`, or what has one in a field `experiment`; anything else
        stays as it is.
      environment: the task family, where it is not that of the experiment.

    Raises:
      ValueError: for an unknown family.
    """
    experiment = getattr(default, "experiment", default)
    if not hasattr(experiment, "environment_options"):
        return default
    family = environment or experiment.environment
    is_own = family == experiment.environment
    given = experiment.environment_options if is_own else {}
    options = FamilyOptions(family, given)
    offering = dataclasses.replace(experiment, environment_options=options)
    if experiment is default:
        return offering
    return dataclasses.replace(default, experiment=offering)


@REGISTRY.struct_rule
def _fields_of_all(info: tyro.constructors.StructTypeInfo):
    if not isinstance(info.default, FamilyOptions):
        return None

    import envs

    given, defaults = info.default, envs.option_defaults(info.default.family)
    types = envs.option_types(info.default.family)
    fields = [
        tyro.constructors.StructFieldSpec(
            name=name, type=types.get(name, type(value)), default=value
        )
        for name, value in {**given, **defaults, **given}.items()
    ]

    def chosen(**values: Any) -> dict[str, Any]:
        is_set = lambda name: name in given or values[name] != defaults[name]
        return {name: value for name, value in values.items() if is_set(name)}

    return tyro.constructors.StructConstructorSpec(chosen, tuple(fields))
