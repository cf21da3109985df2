"""Watching a run as the host sees it: the task, the trial, the film, the files."""

import dataclasses

import jax

import envs
from envs.tasks import TaskDistribution, numbered
from envs.wrappers import WithPoses
from experiments.experiment import Experiment
from experiments.robot_films import (
    film_of,
    parse_task,
    play,
    short_task_text,
    task_text,
)
from experiments.run_directory import RunDirectory
from experiments.trained import load_agent
from metarl_jax import evaluation, film_frames, film_page, film_video
from metarl_jax.checks import require
from metarl_jax.run_files import make_folder
from metarl_jax.types import Task

SAVE = {
    "html": film_page.save_html,
    "gif": film_frames.save_gif,
    "mp4": film_video.save_mp4,
}


def watch(options) -> str:
    """Films one task before and after adaptation, and says how it went.

    Raises:
      ValueError: if the run is of no robot, or an option does not fit to it.
      OSError: if the films cannot be written.
    """
    if "mp4" in options.formats:
        film_video.require_encoder()
    directory = RunDirectory(options.run_dir)
    _, experiment = directory.load()
    robot, tasks = envs.make(experiment.environment, **experiment.environment_options)
    require(
        hasattr(robot, "system"),
        f"{experiment.environment} has no robot to watch: name a run of one that has, "
        "such as half_cheetah_velocity",
    )
    steps = _num_steps(experiment, options.steps)
    task = _chosen_task(tasks, experiment, options)
    out = options.out or directory.path / "watch"
    make_folder(out)
    agent = load_agent(options.run_dir, options.seed_index, steps, WithPoses)
    stages = play(jax.random.key(options.seed), agent, task, (0, steps))
    family = experiment.environment
    title = f"{family}, task {short_task_text(task)}"
    film = film_of(title, family, robot, task, stages)
    for ending in options.formats:
        SAVE[ending](out / f"watch.{ending}", film)
    before, after = (stage.mean_return for stage in stages.values())
    return (
        f"{family}, task {task_text(task)}: mean return of "
        f"{experiment.evaluation.num_episodes} episodes {before:.2f} before, "
        f"{after:.2f} after adaptation; films in {out}"
    )


def _num_steps(experiment: Experiment, asked: int | None) -> int:
    usual = experiment.evaluation.num_adaptation_steps
    steps = usual if asked is None else asked
    require(
        experiment.algorithm.tested_on_any_length or steps == usual,
        f"this agent is tested on trials as long as those of training: leave out "
        f"--steps, or give {usual}",
    )
    require(steps > 0, "this run is evaluated without adaptation: give --steps")
    return steps


def _chosen_task(tasks: TaskDistribution, experiment: Experiment, options) -> Task:
    """The task that is asked for, or a held-out one."""
    if experiment.num_training_tasks:
        tasks = numbered(tasks, experiment.num_training_tasks)
    config = dataclasses.replace(
        experiment.evaluation,
        task_set=options.task_set or experiment.evaluation.task_set,
        num_tasks=1,
        seed=options.seed,
    )
    drawn = evaluation.held_out_tasks(tasks, config)
    number = options.seed % len(jax.tree.leaves(drawn)[0])  # of a fixed set
    task = jax.tree.map(lambda leaf: leaf[number], drawn)
    return task if options.task is None else parse_task(options.task, task)
