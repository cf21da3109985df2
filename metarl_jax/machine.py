"""What this machine is, and what it was measured to do."""

import os
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from metarl_jax.platform import num_cores
from metarl_jax.task_axis import TaskAxis
from metarl_jax.types import Array
from metarl_jax.versions import run_versions

_LEAST_SECONDS = 0.1  # of a timed run, so that starting it does not count
_NUM_RUNS = 3


class Rates(NamedTuple):
    """What all devices do together; the fastest of several runs."""

    large_products: float  # FLOP/s of large square matrix products
    memory: float  # bytes/s read and written, of arrays that no cache holds


def description() -> dict[str, Any]:
    """The machine and the software on it, without its name; ready for JSON.

    Returns:
      `cpu` (model), `cores` (that this process may use), `memory_gb`, and what
      `run_versions` gives.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": _cpu_model(),
        "cores": num_cores(),
        "memory_gb": round(memory / 1e9, 1),
        **run_versions(),
    }


def device_kind() -> str:
    """The accelerator that JAX computes on, or else the model of the CPU."""
    on_cpu = jax.default_backend() == "cpu"
    return _cpu_model() if on_cpu else jax.devices()[0].device_kind


def measured_rates(num_devices: int) -> Rates:
    """Measures this machine, on `num_devices` devices at once."""
    on_cpu = jax.default_backend() == "cpu"
    size = 1024 if on_cpu else 8192
    numbers = 2**26 if on_cpu else 2**28  # 0.25 and 1 GB
    return Rates(
        large_products=products_rate(num_devices, 1, size, size),
        memory=memory_rate(num_devices, numbers),
    )


def products_rate(num_devices: int, batch: int, rows: int, width: int) -> float:
    """FLOP/s of [batch, rows, width] times [batch, width, width] on each device."""
    rows_key, normal_key = jax.random.split(jax.random.key(0))
    left = jax.random.normal(rows_key, (batch, rows, width))
    normal = jax.random.normal(normal_key, (width,))
    # a reflection keeps lengths, so that numbers neither vanish nor overflow
    reflection = jnp.eye(width) - 2 * jnp.outer(normal, normal) / (normal @ normal)
    right = jnp.broadcast_to(reflection, (batch, width, width))
    product = lambda right, left: left @ right
    per_second = _rate(num_devices, product, right, left)
    return per_second * 2 * batch * rows * width**2


def memory_rate(num_devices: int, numbers: int) -> float:
    """Bytes/s when each device adds to `numbers` floats in place: reads and writes."""
    zeros = jnp.zeros(numbers, jnp.float32)
    per_second = _rate(num_devices, jnp.add, jnp.float32(1), zeros)
    return per_second * 2 * 4 * numbers


def _rate(num_devices: int, step: Callable, shared: Any, start: Array) -> float:
    """How often a second all devices together take `value = step(shared, value)`."""

    def repeat(arguments: tuple[Any, Array], value: Array) -> Array:
        shared, count = arguments
        return jax.lax.fori_loop(0, count, lambda _, v: step(shared, v), value)

    one_each = TaskAxis(num_devices=num_devices)
    program = jax.jit(partial(one_each.map, repeat), donate_argnums=1)
    value = jnp.broadcast_to(start, (num_devices, *start.shape))
    value = program((shared, 1), value)  # now on its devices
    value, seconds = _timed(program, (shared, 1), value)
    count = 1
    while seconds < _LEAST_SECONDS:
        count *= 2
        value, seconds = _timed(program, (shared, count), value)
    for _ in range(_NUM_RUNS - 1):
        value, again = _timed(program, (shared, count), value)
        seconds = min(seconds, again)
    return num_devices * count / seconds


def _timed(program: Callable, arguments: Any, value: Array) -> tuple[Array, float]:
    jax.block_until_ready(value)
    start = time.perf_counter()
    value = jax.block_until_ready(program(arguments, value))
    return value, time.perf_counter() - start


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2] for line in lines if line.startswith("model name")]
    return models[0].strip() if models else platform.machine()
