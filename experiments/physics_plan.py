"""What is measured of the physics of robots: families, backends, numbers."""

import dataclasses

import envs
from envs.adapters import BACKENDS
from experiments.cli import names_in

IN_C = "mujoco_c"  # the backend that is MuJoCo itself
# one of each robot
_FAMILIES = (
    *("half_cheetah_velocity", "ant_velocity", "humanoid_direction"),
    *("walker_velocity", "hopper_velocity", "reacher_goal"),
    "inverted_pendulum_params",
)


@dataclasses.dataclass(frozen=True)
class PhysicsPlan:
    """A row: a family, and how it is simulated."""

    family: str
    backend: str  # one of BACKENDS, or IN_C
    num_robots: tuple[int, ...]  # side by side, one after another
    seconds: float | None  # after which nothing new is begun; None: no limit


def planned(
    families: str | None, backends: str | None, robots: str, seconds: float | None
) -> dict[str, PhysicsPlan]:
    """The rows, by FAMILY/BACKEND.

    Args:
      families: names separated by commas; None: one of each robot.
      backends: likewise; None: all.
      robots: numbers separated by commas.
      seconds: of a row; None: no limit.

    Raises:
      ValueError: for an unknown name or number; says what is valid.
    """
    families = _chosen("family of robots", families, list(_FAMILIES), _all_families())
    known = [*BACKENDS, IN_C]
    backends = _chosen("backend", backends, known, known)
    numbers = _numbers(robots)
    return {
        f"{family}/{backend}": PhysicsPlan(family, backend, numbers, seconds)
        for family in families
        for backend in backends
    }


def _all_families() -> list[str]:
    """The families with a robot of brax."""
    modules = envs.ENVIRONMENTS.items()
    return [name for name, module in modules if module.startswith("envs.robots.")]


def _chosen(
    kind: str, names: str | None, by_default: list[str], known: list[str]
) -> list[str]:
    if names is None:
        return by_default
    chosen = list(dict.fromkeys(names_in(names)))
    for name in chosen:
        if name not in known:
            raise ValueError(f"no {kind} '{name}'; choose from {', '.join(known)}")
    return chosen


def _numbers(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ValueError(f"--robots takes numbers above 0, not {text}: as in 64,256")
    return tuple(sorted({int(part) for part in parts}))
