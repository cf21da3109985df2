"""Speed of MuJoCo itself, in C, on the robots of gymnasium."""

import importlib.util
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from envs.adapters import quiet_mujoco
from metarl_jax.checks import require

_SECONDS = 2.0  # of a timed run
_REPEATS = 3
_EPISODE_STEPS = 1000  # of control; after that the robot is put back


class Robot(NamedTuple):
    """A robot of gymnasium."""

    environment: str
    file: str  # of its body
    frame_skip: int  # steps of the physics in a control step


# robot -> that of gymnasium; families are named after their robot
ROBOTS = {
    "half_cheetah": Robot("HalfCheetah-v5", "half_cheetah.xml", 5),
    "ant": Robot("Ant-v5", "ant.xml", 5),
    "humanoid": Robot("Humanoid-v5", "humanoid.xml", 5),
    "walker": Robot("Walker2d-v5", "walker2d_v5.xml", 4),
    "hopper": Robot("Hopper-v5", "hopper.xml", 4),
    "reacher": Robot("Reacher-v5", "reacher.xml", 2),
    "inverted_pendulum": Robot("InvertedPendulum-v5", "inverted_pendulum.xml", 2),
}


def robot_of(family: str) -> Robot:
    """The robot of a family of tasks.

    Raises:
      ValueError: if gymnasium has no such robot.
    """
    for name, robot in ROBOTS.items():
        if family.startswith(f"{name}_"):
            return robot
    known = ", ".join(ROBOTS)
    raise ValueError(f"gymnasium has no robot for {family}; choose families of {known}")


def measure(family: str) -> dict[str, Any]:
    """One robot in this process, by one thread, under random actions.

    It is stepped by MuJoCo's own bindings as `MujocoEnv` of gymnasium does, with an
    observation of positions and velocities; gymnasium's rewards, checks and wrappers
    around that are left out, so that it is rather too fast.

    Returns:
      `environment`, `control_step` and `physics_step` in seconds, and
      `steps_per_second` of control: the median of some runs, with `_min` and `_max`.
    """
    import mujoco

    robot = robot_of(family)
    with quiet_mujoco():
        model = mujoco.MjModel.from_xml_path(str(_assets() / robot.file))
        speeds = _speeds(model, robot)
    return {
        "environment": robot.environment,
        "control_step": robot.frame_skip * model.opt.timestep,
        "physics_step": model.opt.timestep,
        "steps_per_second": float(np.median(speeds)),
        "steps_per_second_min": min(speeds),
        "steps_per_second_max": max(speeds),
    }


def _speeds(model: Any, robot: Robot) -> list[float]:
    """Of each run."""
    import mujoco

    data = mujoco.MjData(model)
    low, high = model.actuator_ctrlrange.T
    actions = np.random.default_rng(0).uniform(low, high, (_EPISODE_STEPS, len(low)))
    return [_speed(model, data, robot, actions) for _ in range(_REPEATS)]


def _speed(model: Any, data: Any, robot: Robot, actions: np.ndarray) -> float:
    import mujoco

    start, count = time.perf_counter(), 0
    while (seconds := time.perf_counter() - start) < _SECONDS:
        mujoco.mj_resetData(model, data)
        for action in actions:
            data.ctrl[:] = action
            mujoco.mj_step(model, data, nstep=robot.frame_skip)
            np.concatenate([data.qpos, data.qvel])
        count += len(actions)
    return count / seconds


def _assets() -> Path:
    """Where gymnasium keeps its robots; its module needs packages for drawing."""
    found = importlib.util.find_spec("gymnasium")
    require(
        found is not None,
        "mujoco_c measures the robots of gymnasium, which is not installed: "
        "pip install gymnasium, or leave out that backend",
    )
    return Path(found.origin).parent / "envs" / "mujoco" / "assets"
