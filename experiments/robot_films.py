"""Films of trained robots: one task, played before and after adaptation."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from envs.robots.landmarks import LANDMARKS
from envs.robots.rods import placed, rods_of
from envs.tasks import NumberedTask, unseen, without_number
from experiments.trained import TrainedAgent
from metarl_jax.checks import require
from metarl_jax.films import Film, Take
from metarl_jax.rollouts import episode_return, first_episode_length
from metarl_jax.types import Key, Rollout, Task

_MOST_NUMBERS = 4  # of a task, in a title


class Played(NamedTuple):
    """One stage of a trial: the first episode of its first row, and how all rows did.

    The arrays have the T steps of the row, of which the episode has the first ones.
    """

    reward: np.ndarray  # [T]
    position: np.ndarray  # [T, L, 3], in m
    rotation: np.ndarray  # [T, L, 4], quaternions
    num_steps: int  # of the first episode
    mean_return: float  # of the first episodes of all E rows


def play(
    key: Key, agent: TrainedAgent, task: Task, stages: Sequence[int]
) -> dict[int, Played]:
    """Plays one trial, and returns `played` of it.

    Args:
      key: of the trial.
      agent: acts in an environment `WithPoses`.
      task: of that environment.
      stages: which to return.
    """
    program = jax.jit(lambda key, task: played(agent.play(key, task), stages))
    return jax.tree.map(np.asarray, program(key, task))


def played(trial: Rollout, stages: Sequence[int]) -> dict[int, Played]:
    """Some stages of a trial, by the number of adaptation steps before them.

    Args:
      trial: [K+1, T, E], in an environment `WithPoses`.
      stages: which ones, from 0 to K.
    """

    def seen(rollout: Rollout) -> Played:
        return Played(
            rollout.reward[:, 0],
            rollout.metrics["pose_position"][:, 0],
            rollout.metrics["pose_rotation"][:, 0],
            first_episode_length(rollout)[0],
            jnp.mean(episode_return(rollout)),
        )

    return {k: seen(jax.tree.map(lambda leaf, k=k: leaf[k], trial)) for k in stages}


def film_of(
    title: str, family: str, robot: Any, task: Task, stages: Mapping[int, Played]
) -> Film:
    """A film with a take for each number of adaptation steps.

    Args:
      title: of the film.
      family: the name of the environment.
      robot: that environment, of `adapters.from_brax`.
      task: that was played.
      stages: number of adaptation steps -> what was played then.
    """
    task = without_number(task)
    rods = rods_of(robot.system(task))
    takes = []
    for steps, stage in stages.items():
        first = slice(0, int(stage.num_steps))
        reward, *pose = (np.asarray(x)[first] for x in stage[:3])
        takes.append(Take(_label(steps), placed(rods, *pose), reward))
    seconds = robot.control_step * np.arange(1, robot.horizon + 1)
    mark = LANDMARKS.get(family)
    landmark = None if mark is None else np.asarray(mark(task, jnp.asarray(seconds)))
    return Film(title, robot.control_step, rods.radius, tuple(takes), landmark)


def parse_task(text: str, like: Task) -> Task:
    """A task from its parameters, written one after another with commas between.

    Args:
      text: such as `1.5` or `0.5,-1`, in the order of the leaves of a task.
      like: any task of the family.

    Raises:
      ValueError: if these are not as many numbers as a task has.
    """
    flat, unravel = ravel_pytree(without_number(like))
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = [np.nan]
    require(
        np.all(np.isfinite(values)),
        f"--task must be numbers with commas between them, as in {_example(like)}, "
        f"not {text!r}",
    )
    require(
        len(values) == flat.size,
        f"--task must have {flat.size} numbers here, as in {_example(like)}, "
        f"not {len(values)}",
    )
    task = unravel(jnp.asarray(values, flat.dtype))
    if isinstance(like, NumberedTask):
        return unseen(task)
    return task


def task_text(task: Task) -> str:
    """The parameters of a task, with commas between them."""
    flat = ravel_pytree(without_number(task))[0]
    return ", ".join(f"{value:.2f}" for value in flat)


def short_task_text(task: Task) -> str:
    """The parameters of a task, if they are few, or else the first ones: for titles."""
    parts = task_text(task).split(", ")
    if len(parts) <= _MOST_NUMBERS:
        return ", ".join(parts)
    return f"{', '.join(parts[:_MOST_NUMBERS])}, ... ({len(parts)} numbers)"


def _example(task: Task) -> str:
    return "--task=" + task_text(task).replace(" ", "")


def _label(steps: int) -> str:
    if steps == 0:
        return "before adaptation"
    return f"after {steps} {'step' if steps == 1 else 'steps'}"
