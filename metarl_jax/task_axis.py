"""The axis of tasks: the one place that batches, chunks and shards over N."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from metarl_jax.checks import require

_AXIS = "tasks"


@dataclasses.dataclass(frozen=True)
class TaskAxis:
    """Applies functions of one task to a batch of tasks, and never changes a result.

    Tasks are divided evenly over devices; each device handles `chunk_size` tasks at a
    time with `vmap`, and the chunks one after another. A batch that the devices do not
    divide evenly is left on one; a chunk size that does not divide the tasks of a
    device is lowered to one that does.
    """

    chunk_size: int | None = None  # None: all tasks of a device in one vmap
    num_devices: int = 1

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
        seeds = dataclasses.replace(self, num_devices=1)
        return seeds.map(lambda _, entries: fn(*entries), (), batches)

    def replicate(self, tree: Any) -> Any:
        """Copies arrays to every device of this axis, as `map` and `mean` leave them.

        A program called with arrays on fewer devices is compiled once more when it is
        called with its own results.
        """
        if self.num_devices == 1:
            return tree
        return jax.device_put(tree, NamedSharding(self._mesh(), PartitionSpec()))

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
        devices = jax.devices()[: self.num_devices]
        axis_types = (AxisType.Auto,)
        return jax.make_mesh((len(devices),), (_AXIS,), axis_types, devices=devices)

    def _is_sharded(self, num_tasks: int) -> bool:
        return self.num_devices > 1 and num_tasks % self.num_devices == 0

    def _sum_over_devices(self, num_tasks: int) -> Callable:
        if self._is_sharded(num_tasks):
            return partial(jax.lax.psum, axis_name=_AXIS)
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
    num_tasks: int, chunk_size: int | None = None, num_devices: int | None = None
) -> TaskAxis:
    """The axis that is fast on this platform.

    On a CPU one task at a time, so that its arrays stay in the cache, on as many
    devices (cores) as divide `num_tasks`; on accelerators all tasks at once.

    Args:
      num_tasks: N of training.
      chunk_size: overrides the platform's choice.
      num_devices: overrides the platform's choice.

    Raises:
      ValueError: if `num_devices` does not divide `num_tasks`, or exceeds those there
        are.
    """
    if chunk_size is None and jax.default_backend() == "cpu":
        chunk_size = 1
    if num_devices is None:
        num_devices = largest_divisor(num_tasks, jax.device_count())
    available = jax.device_count()
    require(
        num_devices <= available and num_tasks % num_devices == 0,
        f"num_devices must divide the {num_tasks} tasks and be at most {available}, "
        f"not {num_devices}",
    )
    return TaskAxis(chunk_size, num_devices)


def largest_divisor(number: int, limit: int) -> int:
    """The largest divisor of `number` that is not above `limit`."""
    return max(d for d in range(1, min(limit, number) + 1) if number % d == 0)


def _length(batch: Any) -> int:
    return jax.tree.leaves(batch)[0].shape[0]


def _split(batch: Any, chunk: int) -> Any:
    return jax.tree.map(lambda x: x.reshape((-1, chunk) + x.shape[1:]), batch)


def _merge(chunks: Any) -> Any:
    return jax.tree.map(lambda x: x.reshape((-1,) + x.shape[2:]), chunks)


def _sum(entries: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.sum(leaf, axis=0), entries)
