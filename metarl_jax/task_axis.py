"""The axis of tasks: the one place that batches, chunks and shards over N."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from metarl_jax.checks import require

_AXIS = "tasks"


@dataclasses.dataclass(frozen=True)
class TaskAxis:
    """Applies functions of one task to a batch of tasks, and never changes a result.

    Tasks are divided evenly over devices; each device handles `chunk_size` tasks at a
    time with `vmap`, and the chunks one after another. A batch that the devices of one
    process do not divide evenly is left on one of them; over several processes that is
    an error. A chunk size that does not divide the tasks of a device is lowered to one
    that does.
    """

    chunk_size: int | None = None  # None: all tasks of a device in one vmap
    num_devices: int = 1  # of all processes together
    num_processes: int = 1  # whose devices these are; 1: this one's own

    def map(self, fn: Callable, shared: Any, batch: Any) -> Any:
        """Stacks `fn(shared, task_entry)` over the entries [N, ...] of `batch`."""
        local = lambda shared, batch: self._map_chunks(partial(fn, shared), batch)
        return self._shard(local, batch, PartitionSpec(_AXIS))(shared, batch)

    def mean(self, fn: Callable, shared: Any, batch: Any) -> Any:
        """The mean over tasks of `fn(shared, task_entry)`, a pytree of floats.

        Sums as it goes: the memory is that of one chunk.
        """
        num_tasks = _length(batch)
        reduce = self._sum_over_devices(num_tasks)

        def local(shared, batch):
            total = reduce(self._sum_chunks(partial(fn, shared), batch))
            return jax.tree.map(lambda leaf: leaf / num_tasks, total)

        return self._shard(local, batch, PartitionSpec())(shared, batch)

    def over_seeds(self, fn: Callable, *batches: Any) -> Any:
        """Stacks `fn(*entries)` over seeds, leaves [S, ...]; `fn` may use this axis.

        Seeds go as tasks do: side by side, or in chunks one after another.
        """
        seeds = TaskAxis(self.chunk_size)
        return seeds.map(lambda _, entries: fn(*entries), (), batches)

    def local(self) -> "TaskAxis":
        """This process's part of the axis, for what it does without the others."""
        own = self.num_devices // self.num_processes
        return TaskAxis(self.chunk_size, num_devices=own)

    def connect(self) -> None:
        """Sums once over the devices of all processes, which must call this together.

        At the first sum the devices of a CPU connect, and those that wait for another
        process give up after 30 seconds: too soon once one of them compiles and another
        has its programs in a cache. Later sums wait as long as it takes.
        """
        if self.num_processes > 1:
            mean = jax.jit(partial(self.mean, lambda _, entry: entry, ()))
            jax.block_until_ready(mean(np.zeros(self.num_devices, np.float32)))

    @property
    def everywhere(self) -> NamedSharding | None:
        """A copy on every device; None where that is the default device alone."""
        if self.num_devices == 1:
            return None
        return NamedSharding(self._mesh(), PartitionSpec())

    def replicate(self, tree: Any) -> Any:
        """Copies arrays to every device of this axis, as `map` and `mean` leave them.

        A program called with arrays on fewer devices is compiled once more when it is
        called with its own results. Over several processes, each must bring the same.
        """
        if self.num_processes == 1:
            return jax.device_put(tree, self.everywhere)
        return jax.jit(lambda tree: tree, out_shardings=self.everywhere)(tree)

    def _shard(self, local: Callable, batch: Any, out_spec: PartitionSpec) -> Callable:
        if not self._is_sharded(_length(batch)):
            return local
        return jax.shard_map(
            local,
            mesh=self._mesh(),
            in_specs=(PartitionSpec(), PartitionSpec(_AXIS)),
            out_specs=out_spec,
            check_vma=False,
        )

    def _mesh(self) -> Mesh:
        own = self.local().num_devices
        if self.num_processes == 1:
            devices = jax.local_devices()[:own]
        else:
            devices = [device for each in _by_process() for device in each[:own]]
        axis_types = (AxisType.Auto,)
        return jax.make_mesh((len(devices),), (_AXIS,), axis_types, devices=devices)

    def _is_sharded(self, num_tasks: int) -> bool:
        divides = num_tasks % self.num_devices == 0
        require(
            divides or self.num_processes == 1,
            f"{num_tasks} tasks do not divide over {self.num_devices} devices of "
            f"{self.num_processes} processes",
        )
        return self.num_devices > 1 and divides

    def _sum_over_devices(self, num_tasks: int) -> Callable:
        if self._is_sharded(num_tasks):
            return _sum_at_once
        return lambda total: total

    def _map_chunks(self, fn: Callable, batch: Any) -> Any:
        chunk = self._chunk(_length(batch))
        if chunk == 1:
            return jax.lax.map(fn, batch)
        return _merge(jax.lax.map(jax.vmap(fn), _split(batch, chunk)))

    def _sum_chunks(self, fn: Callable, batch: Any) -> Any:
        chunk = self._chunk(_length(batch))
        chunks = batch if chunk == 1 else _split(batch, chunk)
        total_of = fn if chunk == 1 else lambda entries: _sum(jax.vmap(fn)(entries))
        total_of = jax.jit(total_of, inline=True)  # traced once, for shapes and scan
        first = jax.tree.map(lambda leaf: leaf[0], chunks)
        zero = jax.tree.map(
            lambda leaf: jnp.zeros(leaf.shape, leaf.dtype),
            jax.eval_shape(total_of, first),
        )
        add = lambda total, entries: (
            jax.tree.map(jnp.add, total, total_of(entries)),
            None,
        )
        return jax.lax.scan(add, zero, chunks)[0]

    def _chunk(self, num_tasks: int) -> int:
        return largest_divisor(num_tasks, self.chunk_size or num_tasks)


def default_task_axis(
    num_tasks: int,
    chunk_size: int | None = None,
    num_devices: int | None = None,
    cpu_chunk_size: Callable[[int], int] = lambda num_tasks: 1,
) -> TaskAxis:
    """The axis that is fast on this platform.

    On a CPU few tasks at a time, so that their arrays stay in the cache; on
    accelerators all tasks at once. One process takes as many devices (cores) as divide
    `num_tasks`, several processes take all that they have.

    Args:
      num_tasks: N of training.
      chunk_size: overrides the platform's choice.
      num_devices: of all processes together; overrides the choice above.
      cpu_chunk_size: the platform's choice on a CPU, of the tasks of one device.

    Raises:
      ValueError: if `num_devices` does not divide `num_tasks`, exceeds those there are,
        or is not the same number for each process.
    """
    num_processes = jax.process_count()
    available = num_processes * min(len(devices) for devices in _by_process())
    if num_devices is None and num_processes == 1:
        num_devices = largest_divisor(num_tasks, available)
    num_devices = available if num_devices is None else num_devices
    several = f", and a multiple of the {num_processes} processes"
    require(
        num_devices <= available
        and num_tasks % num_devices == 0
        and num_devices % num_processes == 0,
        f"num_devices must divide the {num_tasks} tasks and be at most {available}"
        f"{several if num_processes > 1 else ''}, not {num_devices}: choose another "
        "num_devices or num_tasks",
    )
    if chunk_size is None and jax.default_backend() == "cpu":
        chunk_size = cpu_chunk_size(num_tasks // num_devices)
    return TaskAxis(chunk_size, num_devices, num_processes)


def _by_process() -> list[list[jax.Device]]:
    """The devices of each process."""
    owned = [[] for _ in range(jax.process_count())]
    for device in jax.devices():
        owned[device.process_index].append(device)
    return owned


def largest_divisor(number: int, limit: int) -> int:
    """The largest divisor of `number` that is not above `limit`."""
    return max(d for d in range(1, min(limit, number) + 1) if number % d == 0)


def _length(batch: Any) -> int:
    return jax.tree.leaves(batch)[0].shape[0]


def _split(batch: Any, chunk: int) -> Any:
    # not by -1, which has no meaning for leaves without entries, here and below
    split = lambda x: x.reshape((x.shape[0] // chunk, chunk) + x.shape[1:])
    return jax.tree.map(split, batch)


def _merge(chunks: Any) -> Any:
    merge = lambda x: x.reshape((x.shape[0] * x.shape[1],) + x.shape[2:])
    return jax.tree.map(merge, chunks)


def _sum_at_once(tree: Any) -> Any:
    """Sums over devices all leaves as one vector: one message instead of many."""
    flat, unravel = ravel_pytree(tree)
    return unravel(jax.lax.psum(flat, _AXIS))


def _sum(entries: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.sum(leaf, axis=0), entries)
