"""Environments around environments."""

from typing import Any

import jax
import jax.numpy as jnp
from gymnax.environments import spaces
from jax.flatten_util import ravel_pytree

from envs.tasks import TaskDistribution

_SAMPLES = 4096  # training tasks that fix the scale of task parameters


class WithNumberedTasks:
    """An environment whose tasks are `NumberedTask`s; says which one was played.

    `info` gets `task_number`, so that a rollout tells its task to a learner that keeps
    something for each task of training. Everything else is as in the wrapped
    environment.

    Args:
      env: whose tasks have no numbers.
      num_tasks: of training.
    """

    def __init__(self, env: Any, num_tasks: int):
        self._env = env
        self.num_training_tasks = num_tasks
        self.num_task_parameters = getattr(env, "num_task_parameters", 0)
        self.observation_space = env.observation_space
        self.action_space = env.action_space
        self.horizon = env.horizon
        for name in ("all_observations", "num_states"):
            if hasattr(env, name):
                setattr(self, name, getattr(env, name))

    def reset(self, key, task):
        return self._env.reset(key, task.task)

    def step(self, key, state, action, task):
        *outcome, info = self._env.step(key, state, action, task.task)
        return *outcome, info | {"task_number": self.task_number(task)}

    def task_number(self, task):
        """The number of a task of training, [], int32; -1 for all other tasks."""
        return task.number


class TaskInObservation:
    """Tells the policy the task: the view of an oracle.

    Appends the task's parameters, in the order of its leaves, to the observation.
    Each is shifted and scaled so that training tasks fill [-1, 1]; tasks out of
    distribution lie outside. `num_task_parameters` says how many there are. Everything
    else is as in the wrapped environment.

    Args:
      env: an environment whose observations are vectors.
      tasks: its distribution over tasks.

    Raises:
      ValueError: if the observations are not vectors.
    """

    def __init__(self, env: Any, tasks: TaskDistribution):
        space = env.observation_space
        if not isinstance(space, spaces.Box) or len(space.shape) != 1:
            raise ValueError(f"observations must be vectors, not {space}")
        keys = jax.random.split(jax.random.key(0), _SAMPLES)
        flat = jax.jit(jax.vmap(lambda key: _flat(tasks.train(key))))(keys)
        low, high = jnp.min(flat, axis=0), jnp.max(flat, axis=0)
        self._env = env
        self._center = (low + high) / 2
        self._reach = jnp.where(high > low, (high - low) / 2, 1.0)
        self.num_task_parameters = flat.shape[1]
        unbounded = jnp.full(flat.shape[1:], jnp.inf)
        self.observation_space = spaces.Box(
            jnp.append(jnp.broadcast_to(space.low, space.shape), -unbounded),
            jnp.append(jnp.broadcast_to(space.high, space.shape), unbounded),
            (space.shape[0] + flat.shape[1],),
        )
        self.action_space = env.action_space
        self.horizon = env.horizon

    def reset(self, key, task):
        observation, state = self._env.reset(key, task)
        return self._with_task(observation, task), state

    def step(self, key, state, action, task):
        observation, *rest = self._env.step(key, state, action, task)
        return self._with_task(observation, task), *rest

    def _with_task(self, observation, task):
        scaled = (_flat(task) - self._center) / self._reach
        return jnp.concatenate([observation, scaled])


class WithPoses:
    """A robot whose rollouts tell where it was.

    `info` gets `pose_position`, [L, 3] in m, and `pose_rotation`, quaternions [L, 4],
    of its L links after the step. Everything else is as in the wrapped environment.

    Args:
      env: of `adapters.from_brax`.
    """

    def __init__(self, env: Any):
        self._env = env
        self.observation_space = env.observation_space
        self.action_space = env.action_space
        self.horizon = env.horizon

    def reset(self, key, task):
        return self._env.reset(key, task)

    def step(self, key, state, action, task):
        observation, state, *outcome, info = self._env.step(key, state, action, task)
        pose = state.simulator.pipeline_state.x
        poses = {"pose_position": pose.pos, "pose_rotation": pose.rot}
        return observation, state, *outcome, info | poses


def _flat(task):
    return ravel_pytree(task)[0]
