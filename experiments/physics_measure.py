"""Speed, memory and stability of the physics of robots, under random actions."""

import contextlib
import fcntl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import envs
from experiments import physics_in_c
from experiments.physics_plan import PhysicsPlan
from experiments.timing import timed
from metarl_jax import platform
from metarl_jax.task_axis import TaskAxis, default_task_axis
from metarl_jax.types import Array, Environment, Key

_SPEED_STEPS = 20  # control steps of a timed run
_REPEATS = 3
_STABLE_STEPS = 200  # control steps that a stable simulation survives
_STABLE_ROBOTS = 256
# begins what a family says of a backend that it cannot have
_REFUSAL = "backend must be one of "


class Robots(NamedTuple):
    """Robots side by side, each in a task of its own; leaves [R, ...]."""

    key: Key
    state: Any
    task: Any


def physics_row(plan: PhysicsPlan, turn: Path) -> dict[str, Any]:
    """Measures a family on a backend of brax, if it has that family.

    Args:
      plan: of the row.
      turn: a file that whoever runs something holds, so that rows that are measured by
        several processes do not disturb each other.

    Returns:
      `control_step` and `physics_step` in seconds; for each number of robots a dict in
      `speeds`, as `_speed` gives it; for each step of the physics one in `stability`,
      as `_stability` does, up to the first that is not stable; `left_out`, what there
      was no time for. Of a backend that cannot have the family only the reason:
      `refused`.
    """
    clock = _Clock(plan.seconds)
    try:
        env, tasks = envs.make(plan.family, backend=plan.backend)
    except ValueError as error:
        if not str(error).startswith(_REFUSAL):
            raise
        return {"refused": str(error)}
    physics_step = float(env.system(tasks.train(jax.random.key(0))).opt.timestep)
    robots = _robots(env, tasks, max(*plan.num_robots, _STABLE_ROBOTS), turn)
    speeds, too_many = _speeds(plan, env, robots, turn, clock)
    stability, too_long = _stabilities(plan, env, physics_step, robots, turn, clock)
    return {
        "control_step": env.control_step,
        "physics_step": physics_step,
        "speeds": speeds,
        "stability": stability,
        "left_out": too_many + too_long,
    }


def row_in_c(plan: PhysicsPlan, turn: Path) -> dict[str, Any]:
    """What `physics_in_c.measure` says of a family, once it is this row's turn."""
    with _alone(turn):
        return physics_in_c.measure(plan.family)


def simulate(env: Environment, num_steps: int) -> Callable[[Robots], Array]:
    """Random actions for a number of steps, without any reset.

    Returns:
      `one robot -> diverged`, 1.0 if its simulation diverged at any step, else 0.0.
    """

    def step(carry: tuple[Any, Array], inputs: tuple[Key, Any]):
        (state, diverged), (key, task) = carry, inputs
        action_key, step_key = jax.random.split(key)
        action = env.action_space.sample(action_key)
        _, state, *_, info = env.step(step_key, state, action, task)
        return (state, jnp.maximum(diverged, info["diverged"])), None

    def run(robot: Robots) -> Array:
        keys = jax.random.split(robot.key, num_steps)
        one = lambda carry, key: step(carry, (key, robot.task))
        return jax.lax.scan(one, (robot.state, jnp.float32(0)), keys)[0][1]

    return run


def _speeds(
    plan: PhysicsPlan, env: Environment, robots: Robots, turn: Path, clock: "_Clock"
) -> tuple[list[dict[str, Any]], list[str]]:
    """The speed of each number of robots, and for which there was no time."""
    speeds, left_out = [], []
    for number in plan.num_robots:
        if clock.has_time():
            with clock.lap():
                speeds.append(_speed(env, _first(robots, number), turn))
        else:
            left_out.append(f"{number} robots")
    return speeds, left_out


def _stabilities(
    plan: PhysicsPlan,
    env: Environment,
    physics_step: float,
    robots: Robots,
    turn: Path,
    clock: "_Clock",
) -> tuple[list[dict[str, Any]], list[str]]:
    """How stable longer and longer steps are, and for which there was no time."""
    stability = []
    robots = _first(robots, _STABLE_ROBOTS)
    for multiple in _multiples(env.control_step, physics_step):
        if not clock.has_time():
            longer = f"physics steps of {multiple} times the family's own and more"
            return stability, [longer]
        with clock.lap():
            longer = {"physics_step": multiple * physics_step}
            env, _ = envs.make(plan.family, backend=plan.backend, **longer)
            stability.append(longer | _stability(env, robots, turn))
        if stability[-1]["num_diverged"]:
            break
    return stability, []


def _speed(env: Environment, robots: Robots, turn: Path) -> dict[str, Any]:
    """Environment steps per second on all devices, and what compiling took."""
    number = len(robots.key)
    axis = default_task_axis(number, chunk_size=number)
    start = time.perf_counter()
    program = _program(env, _SPEED_STEPS, robots, axis)
    compile_seconds = time.perf_counter() - start
    with _alone(turn):
        seconds = timed(lambda: program(robots), _REPEATS)
    steps = number * _SPEED_STEPS
    return {
        "num_robots": number,
        "steps_per_second": steps / float(np.median(seconds)),
        "steps_per_second_min": steps / max(seconds),
        "steps_per_second_max": steps / min(seconds),
        "compile_seconds": compile_seconds,
        "program_memory_mb": program.memory_analysis().temp_size_in_bytes / 1e6,
        "device_memory_mb": platform.peak_device_memory_mb(),
        "num_devices": axis.num_devices,
    }


def _stability(env: Environment, robots: Robots, turn: Path) -> dict[str, Any]:
    """How many robots diverge under random actions, and the speed."""
    number = len(robots.key)
    axis = default_task_axis(number, chunk_size=number)
    program = _program(env, _STABLE_STEPS, robots, axis)
    with _alone(turn):
        start = time.perf_counter()
        diverged = np.asarray(program(robots))
        seconds = time.perf_counter() - start
    return {
        "num_robots": number,
        "num_diverged": int(diverged.sum()),
        "steps_per_second": number * _STABLE_STEPS / seconds,
    }


def _robots(env: Environment, tasks: Any, number: int, turn: Path) -> Robots:
    """Robots before their first step."""

    def one(key: Key) -> Robots:
        task_key, reset_key, run_key = jax.random.split(key, 3)
        task = tasks.train(task_key)
        return Robots(run_key, env.reset(reset_key, task)[1], task)

    keys = jax.random.split(jax.random.key(0), number)
    program = jax.jit(jax.vmap(one)).lower(keys).compile()
    with _alone(turn):
        return jax.block_until_ready(program(keys))


def _first(robots: Robots, number: int) -> Robots:
    return jax.tree.map(lambda leaf: leaf[:number], robots)


def _program(env: Environment, num_steps: int, robots: Robots, axis: TaskAxis):
    run = simulate(env, num_steps)
    every = lambda robots: axis.map(lambda _, robot: run(robot), (), robots)
    return jax.jit(every).lower(robots).compile()


def _multiples(control_step: float, physics_step: float) -> list[int]:
    """By which the step of the physics still divides the control step."""
    count = round(control_step / physics_step)
    return [number for number in range(1, count + 1) if count % number == 0]


@contextlib.contextmanager
def _alone(turn: Path) -> Iterator[None]:
    """Waits for its turn, and keeps others waiting."""
    with turn.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # is let go when the file is closed
        yield


class _Clock:
    """How much time a row has left, if each lap takes what the longest one took."""

    def __init__(self, seconds: float | None):
        limit = float("inf") if seconds is None else seconds
        self._end = time.monotonic() + limit
        self._longest = 0.0

    def has_time(self) -> bool:
        return time.monotonic() + self._longest < self._end

    @contextlib.contextmanager
    def lap(self) -> Iterator[None]:
        start = time.monotonic()
        yield
        self._longest = max(self._longest, time.monotonic() - start)
