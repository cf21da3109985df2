"""How JAX is set up on this machine."""

import os
import re
import resource
import sys
from pathlib import Path


def configure(cache: bool = True) -> None:
    """Uses every CPU core, and remembers compiled programs from run to run.

    Call it before importing anything that computes on import, as gymnax does.

    XLA does not spread small operations over cores, so each core becomes a JAX device
    over which tasks are sharded; it changes nothing on accelerators. Compiled programs
    are kept in the user's own cache folder, since loading one runs its code.

    Args:
      cache: False compiles anew, as a measurement of compile time needs.

    Raises:
      RuntimeError: if JAX has already computed something, with one device.
    """
    import jax

    if jax.config.jax_num_cpu_devices < 1:
        jax.config.update("jax_num_cpu_devices", num_cores())
    jax.config.update("jax_enable_compilation_cache", cache)
    jax.config.update("jax_compilation_cache_dir", str(cache_folder()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def use_cpu_only() -> None:
    """Keeps this process, but not those that it starts, away from accelerators.

    Call it before importing anything that computes on import.
    """
    import jax

    jax.config.update("jax_platforms", "cpu")


def simulate_devices(number: int) -> None:
    """Sets JAX up with this many devices, all on the CPU; call it as `configure`."""
    configure()

    import jax

    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", number)


def num_cores() -> int:
    """The number of CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def peak_memory_mb() -> float:
    """The most memory in use so far, of the accelerator or else of this process."""
    device = peak_device_memory_mb()
    return peak_host_memory_mb() if device is None else device


def peak_device_memory_mb() -> float | None:
    """The most memory in use so far on one accelerator; None on a CPU."""
    import jax

    statistics = [device.memory_stats() or {} for device in jax.local_devices()]
    peaks = [entry.get("peak_bytes_in_use") for entry in statistics]
    return None if None in peaks else max(peaks) / 1e6


def peak_host_memory_mb() -> float:
    """The most memory that this process had so far, XLA's compiler included."""
    if sys.platform == "linux":  # whose rusage begins with the peak of the parent
        status = Path("/proc/self/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def cache_folder() -> Path:
    """Where compiled programs are kept: under XDG_CACHE_HOME or ~/.cache."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "metarl_jax" / "xla"
