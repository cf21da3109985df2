"""Several processes that compute as one: how they meet, agree and part.

Every process runs the same program on its own devices, and the first one alone has
anything to do with the outside. In a run of one process, which is the first, all of
this does nothing.
"""

import hashlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

_HEARTBEAT_SECONDS = 20  # after which a silent process counts as gone
_LEAVING_SECONDS = 60  # how long a process that is done waits for the others


def join(
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
) -> None:
    """Meets the other processes; call it, then `connect`, before anything is computed.

    Where one process is gone, JAX ends the others: within 20 seconds, or at once where
    it was the first or the network notices.

    Args:
      coordinator: HOST:PORT, where the first process listens and all can reach it.
      num_processes: how many there are.
      process_id: which one this is, from 0; each takes all devices that it sees. With
        none of the three, JAX asks SLURM or Open MPI, where each process takes one
        accelerator, or Kubernetes or the TPU runtime.

    Raises:
      ValueError: nothing is given and nothing is found.
      ConnectionError: the first process cannot listen at `coordinator`; now and then
        JAX 0.10.2 crashes of that instead. Where the others do not come within five
        minutes, JAX aborts this process.
    """
    # its own handler of SIGTERM would take the place of ours
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            coordinator,
            num_processes,
            process_id,
            cluster_detection_method="deactivate" if coordinator else None,
            heartbeat_timeout_seconds=_HEARTBEAT_SECONDS,
            shutdown_timeout_seconds=_LEAVING_SECONDS,
        )
    except jax.errors.JaxRuntimeError as error:
        raise ConnectionError(_cannot_listen(coordinator)) from error


def _cannot_listen(coordinator: str | None) -> str:
    if coordinator is None:
        return (
            "cannot listen where the cluster sends the others: "
            "set JAX_COORDINATOR_PORT to a free port, in all processes"
        )
    return f"cannot listen at {coordinator}: give this machine's name and a free port"


def connect() -> None:
    """Agrees for the first time, while the processes are still in step.

    That is when CPUs connect, and one that waits for another process gives up after 30
    seconds; later agreements wait as long as it takes. `TaskAxis.connect` does the same
    for the sums of training.
    """
    any_process(False)


def leave() -> None:
    """Parts from the other processes, once all of them have come to this point."""
    jax.distributed.shutdown()


def is_first() -> bool:
    """True in the process that logs, writes, draws and prints."""
    return jax.process_index() == 0


def any_process(flag: bool) -> bool:
    """True on all processes where `flag` is on one; all must call this together."""
    if jax.process_count() == 1:
        return flag
    from jax.experimental.multihost_utils import process_allgather

    return bool(process_allgather(np.array(flag)).any())


def together(fn: Callable, *args: Any) -> Any:
    """The value of `fn(*args)`, which every process calls; fails in all if in one.

    Raises:
      Exception: what `fn` raised, SystemExit included; in processes where it did not,
        an OSError that says so.
    """
    value = failure = None
    try:
        value = fn(*args)
    except (Exception, SystemExit) as error:
        failure = error
    if any_process(failure is not None):
        raise failure or OSError("another process stopped; it says why")
    return value


def on_first(fn: Callable, *args: Any) -> None:
    """Calls `fn(*args)` in the first process, while the others wait.

    Raises:
      Exception: as `together` does.
    """
    together(lambda: fn(*args) if is_first() else None)


def same_everywhere(text: str) -> bool:
    """True where all processes bring the same text; all must call this together."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return not any_process(from_first(digest) != digest)


def from_first(text: str) -> str:
    """The text of the first process; all must call this together."""
    if jax.process_count() == 1:
        return text
    from jax.experimental.multihost_utils import broadcast_one_to_all

    codes = np.frombuffer(text.encode(), np.uint8)
    length = int(broadcast_one_to_all(np.array(codes.size)))
    codes = broadcast_one_to_all(np.resize(codes, length))
    return np.asarray(codes).tobytes().decode()


def local(tree: Any) -> Any:
    """This process's copies of arrays that every process has; shares their memory."""
    if jax.process_count() == 1:
        return tree
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)
