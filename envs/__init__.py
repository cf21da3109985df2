"""Task families, by name.

`make(name, **options)` gives an environment and its distribution over tasks. A family
is a function of keyword options, `make` of a module of its own or a named one of a
module that makes several; it is imported only when it is asked for, so that the
families without a robot never import brax.

To add a family, write such a function, which has the option `horizon` and whose states
have a field `time` that counts the steps of the episode, and register it in
`ENVIRONMENTS`, as `module` or `module:function`: the contract tests run over all that
is registered.

A family with few observations may list them: `env.all_observations()` is each that
`step` can return just once, [C, ...]. `grid_navi` does. One with a finite number of
states may say how many: `env.num_states`, S, of which an observation is one, one-hot,
[S]. Bandits and `tabular_mdp` do.
"""

import difflib
import importlib
import inspect
import typing
from collections.abc import Callable, Iterable
from typing import Any

from envs.tasks import TaskDistribution

ENVIRONMENTS = {
    "ant_any_direction": "envs.robots.ant:any_direction",
    "ant_direction": "envs.robots.ant:direction",
    "ant_goal": "envs.robots.ant:goal",
    "ant_velocity": "envs.robots.ant:velocity",
    "bernoulli_bandit": "envs.bernoulli_bandit",
    "cartpole": "envs.cartpole",
    "gaussian_bandit": "envs.gaussian_bandit",
    "grid_navi": "envs.grid_navi",
    "half_cheetah_direction": "envs.robots.half_cheetah:direction",
    "half_cheetah_velocity": "envs.robots.half_cheetah:velocity",
    "hopper_direction": "envs.robots.hopper:direction",
    "hopper_params": "envs.robots.hopper:params",
    "hopper_velocity": "envs.robots.hopper:velocity",
    "humanoid_direction": "envs.robots.humanoid:direction",
    "inverted_pendulum_params": "envs.robots.inverted_pendulum:params",
    "pendulum": "envs.pendulum",
    "point": "envs.point",
    "point_corners": "envs.point_corners",
    "point_half_circle": "envs.point_half_circle",
    "reacher_goal": "envs.robots.reacher:goal",
    "tabular_mdp": "envs.tabular_mdp",
    "walker_direction": "envs.robots.walker:direction",
    "walker_params": "envs.robots.walker:params",
    "walker_velocity": "envs.robots.walker:velocity",
}


def make(name: str, **options: Any) -> tuple[Any, TaskDistribution]:
    """Makes an environment and the distribution that its tasks come from.

    Args:
      name: one of `ENVIRONMENTS`.
      **options: of that family, as in `option_defaults(name)`.

    Returns:
      `(env, tasks)`. Make an environment once and keep it: compiled functions tell
      environments apart by identity.

    Raises:
      ValueError: for an unknown name, an unknown option or a value out of range, in
        one line that names the valid choices.
    """
    known = option_defaults(name)
    for option in options:
        if option not in known:
            raise ValueError(
                f"{name} has no option {option!r}{_choices(option, known)}"
            )
    return _family(name)(**options)


def option_defaults(name: str) -> dict[str, Any]:
    """The options that `make(name, ...)` takes, with their default values.

    Raises:
      ValueError: for an unknown name.
    """
    if name not in ENVIRONMENTS:
        raise ValueError(f"unknown environment {name!r}{_choices(name, ENVIRONMENTS)}")
    parameters = inspect.signature(_family(name)).parameters.values()
    return {parameter.name: parameter.default for parameter in parameters}


def option_types(name: str) -> dict[str, Any]:
    """The types of the options that `make(name, ...)` takes.

    Raises:
      ValueError: for an unknown name.
    """
    types = typing.get_type_hints(_family(name))
    return {option: types[option] for option in option_defaults(name)}


def _family(name: str) -> Callable[..., tuple[Any, TaskDistribution]]:
    module, _, function = ENVIRONMENTS[name].partition(":")
    return getattr(importlib.import_module(module), function or "make")


def _choices(word: str, choices: Iterable[str]) -> str:
    """The end of an error line: the closest match, if any, and all choices."""
    close = difflib.get_close_matches(word, choices, n=1)
    guess = f"; did you mean {close[0]!r}?" if close else ";"
    return f"{guess} choose from {', '.join(sorted(choices))}"
