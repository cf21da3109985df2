"""Distributions over tasks."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

_TRAINING = 2**31 - 1  # more than there are tasks in any test


class TaskDistribution(NamedTuple):
    """p(T): where tasks come from, for training and for each kind of test.

    A sampler draws one task, a pytree of arrays, from a key; batch it with `jax.vmap`.
    """

    train: Callable[[Any], Any]
    test: Callable[[Any], Any]
    # outside the range of training; None where the family has no natural outside
    ood: Callable[[Any], Any] | None = None
    # named sets of the literature: () -> a batch of tasks, leaves [M, ...]
    fixed: Mapping[str, Callable[[], Any]] = MappingProxyType({})


class NumberedTask(NamedTuple):
    """A task of a finite training set, or a task of a test."""

    task: Any  # as its family has it
    number: jax.Array  # [], int32; in 0, 1, ...; -1: no task of training


def numbered(tasks: TaskDistribution, num_tasks: int) -> TaskDistribution:
    """Training tasks out of a finite set, each of which has a number.

    Args:
      tasks: training task i is always drawn with the same key.
      num_tasks: how many there are; each is drawn equally often.

    Returns:
      A distribution over `NumberedTask`; its tests are those of `tasks`, numbered -1.
    """

    def train(key):
        number = jax.random.randint(key, (), 0, num_tasks, jnp.int32)
        return NumberedTask(tasks.train(_training_key(number)), number)

    return TaskDistribution(
        train=train,
        test=lambda key: unseen(tasks.test(key)),
        ood=tasks.ood and (lambda key: unseen(tasks.ood(key))),
        fixed={
            name: lambda batch=batch: jax.vmap(unseen)(batch())
            for name, batch in tasks.fixed.items()
        },
    )


def unseen(task: Any) -> NumberedTask:
    """The task with the number of those that are not of training."""
    return NumberedTask(task, jnp.int32(-1))


def _training_key(number):
    """Of a training task: one that splitting the key of a test's seed never gives.

    `jax.random.split(key, n)[i]` is `fold_in(key, i)`, so that the keys of a test with
    seed 0 are those of `fold_in(key(0), i)`.
    """
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(0), _TRAINING), number)


def without_number(task: Any) -> Any:
    """The task as its family has it, whether it has a number or not."""
    return task.task if isinstance(task, NumberedTask) else task


def task_parameters(tasks: Any) -> dict[str, np.ndarray]:
    """The numbers that tasks are made of, by name, in the order of their leaves.

    Args:
      tasks: a batch, leaves [M, ...], whether they have numbers of their own or not.

    Returns:
      name -> [M], such as `mass` for a field of a `NamedTuple`, `parameter` for a task
      that is one number, and `parameter[0]`, `parameter[1]` for one that is a point.
    """
    parameters = {}
    for path, leaf in jax.tree.leaves_with_path(without_number(tasks)):
        name = jax.tree_util.keystr(path, simple=True, separator=".") or "parameter"
        values = np.asarray(leaf)
        for index in np.ndindex(values.shape[1:]):
            place = f"[{', '.join(map(str, index))}]" if index else ""
            parameters[name + place] = values[:, *index]
    return parameters


def uniform(low: Any, high: Any) -> Callable[[Any], Any]:
    """A sampler of tasks whose parameters are independent and uniform.

    Args:
      low: the least value of each parameter; a task, its leaves numbers.
      high: the greatest values, likewise.

    Returns:
      `key -> task`, of the structure of `low`, its leaves arrays.
    """

    def sample(key):
        flat_low, unravel = ravel_pytree(low)
        flat_high, _ = ravel_pytree(high)
        flat = jax.random.uniform(
            key, flat_low.shape, flat_low.dtype, flat_low, flat_high
        )
        return unravel(flat)

    return sample


def around_square(inner: float, outer: float) -> Callable[[Any], Any]:
    """A sampler of points, [2], uniform between two squares around the origin.

    Args:
      inner: half the width of the square that holds no points.
      outer: half the width of the square that holds all.
    """

    def sample(key):
        side_key, along_key, across_key = jax.random.split(key, 3)
        along = jax.random.uniform(along_key, minval=-outer, maxval=inner)
        across = jax.random.uniform(across_key, minval=inner, maxval=outer)
        quarter_turns = jax.random.randint(side_key, (), 0, 4)
        angle = 0.5 * jnp.pi * quarter_turns
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        return jnp.array([cos * along - sin * across, sin * along + cos * across])

    return sample


def on_ring(inner: float, outer: float) -> Callable[[Any], Any]:
    """A sampler of points, [2], uniform on a ring around the origin, or on a disc.

    Args:
      inner: the radius of the hole; 0 for a disc.
      outer: the radius of the ring.
    """

    def sample(key):
        angle_key, radius_key = jax.random.split(key)
        angle = jax.random.uniform(angle_key, maxval=2 * jnp.pi)
        squared = jax.random.uniform(radius_key, minval=inner**2, maxval=outer**2)
        return jnp.sqrt(squared) * jnp.stack([jnp.cos(angle), jnp.sin(angle)])

    return sample


def either_direction() -> TaskDistribution:
    """Forwards and backwards, 1 and -1, equally likely, [].

    There are no others to hold out: test tasks are those of training, and
    `fixed["directions"]` is each of them once, [2].
    """
    direction = lambda key: jax.random.rademacher(key, (), jnp.float32)
    both = {"directions": lambda: jnp.array([-1.0, 1.0])}
    return TaskDistribution(train=direction, test=direction, fixed=both)


def any_angle(held_out: float = jnp.pi / 4) -> TaskDistribution:
    """Directions of the plane, as the angle from ahead in rad, in [-pi, pi], [].

    The literature draws from all directions. Here those in a cone around straight back
    are held out of training and test, and are what is out of distribution. So the ends
    of the range of angles that is trained on are no neighbours either.

    Args:
      held_out: how wide the cone is, in rad.
    """
    edge = jnp.pi - held_out / 2
    inside = uniform(-edge, edge)
    return TaskDistribution(
        train=inside, test=inside, ood=with_random_signs(uniform(edge, jnp.pi))
    )


def with_random_signs(sample: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The tasks of `sample`, with a random sign on each of their numbers."""

    def signed(key):
        task_key, sign_key = jax.random.split(key)
        flat, unravel = ravel_pytree(sample(task_key))
        return unravel(flat * jax.random.rademacher(sign_key, flat.shape, flat.dtype))

    return signed


def with_either_sign(
    sample: Callable[[Any], Any], parameter: str
) -> Callable[[Any], Any]:
    """The tasks of `sample`, a NamedTuple, with a random sign on one parameter."""

    def signed(key):
        task_key, sign_key = jax.random.split(key)
        task = sample(task_key)
        value = getattr(task, parameter)
        sign = jax.random.rademacher(sign_key, value.shape, value.dtype)
        return task._replace(**{parameter: sign * value})

    return signed
