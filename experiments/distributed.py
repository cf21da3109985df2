"""One run in several processes: the options of --distributed, the start and the end."""

import argparse
import contextlib
import dataclasses
import os
import re
import sys
import traceback
from collections.abc import Iterator, Sequence

from experiments import cli
from experiments.last_words import LastWords

HELP = """\
--distributed: this is one of several processes of the same run, each with the same
command. SLURM, Open MPI, Kubernetes and TPU pods tell which one; elsewhere add
--coordinator HOST:PORT (of the first process), --num-processes N and --process-id I
(from 0). docs/scaling.md has examples."""

_ALL = "--coordinator HOST:PORT, --num-processes N and --process-id I"


@dataclasses.dataclass(frozen=True)
class Membership:
    """Which process of how many this is; None: as the cluster says."""

    coordinator: str | None
    num_processes: int | None
    process_id: int | None

    def __post_init__(self):
        given = [value is not None for value in dataclasses.astuple(self)]
        if any(given) and not all(given):
            raise ValueError(f"give all of {_ALL}, or none where the cluster says them")
        if not any(given):
            return
        if not re.fullmatch(r"\S+:\d+", self.coordinator):
            raise ValueError(f"--coordinator takes HOST:PORT, not {self.coordinator}")
        if self.num_processes < 1:
            raise ValueError(
                f"--num-processes must be at least 1, not {self.num_processes}"
            )
        if not 0 <= self.process_id < self.num_processes:
            raise ValueError(
                f"--process-id must be from 0 to {self.num_processes - 1}, one less "
                f"than --num-processes, not {self.process_id}"
            )


def split(arguments: Sequence[str]) -> tuple[Membership | None, list[str]]:
    """Takes the options of this file out of a command line.

    Returns:
      Who this process is, None without --distributed; and the other arguments.

    Raises:
      ValueError: an option is wrong, incomplete, or lacks --distributed.
    """
    parser = argparse.ArgumentParser(
        add_help=False, allow_abbrev=False, exit_on_error=False
    )
    parser.add_argument("--distributed", action="store_true")
    parser.add_argument("--coordinator")
    parser.add_argument("--num-processes", "--num_processes", type=int)
    parser.add_argument("--process-id", "--process_id", type=int)
    try:
        options, others = parser.parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise ValueError(str(error)) from error
    member = Membership(options.coordinator, options.num_processes, options.process_id)
    if not options.distributed and member.coordinator is not None:
        raise ValueError(f"{_ALL} need --distributed")
    return (member if options.distributed else None), others


def join(member: Membership) -> None:
    """Meets the other processes; after it only the first one prints.

    Where they do not meet, JAX aborts the process, and last words say so.

    Raises:
      ValueError: no cluster says who this is, and neither did the user.
      ConnectionError: this process cannot listen where the others look for it.
    """
    from metarl_jax import processes

    where = f" at {member.coordinator}" if member.coordinator else ""
    words = LastWords(
        f"error: the processes of this run did not meet{where}: start all of them "
        "within five minutes, each with its own number, where they reach each other; "
        "the first needs a free port"
    )
    try:
        processes.join(*dataclasses.astuple(member))
    except ValueError as error:
        raise ValueError(
            f"no SLURM, Open MPI, Kubernetes or TPU pod found ({error}): give {_ALL}"
        ) from error
    finally:
        words.withdraw()
    if not processes.is_first():
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    processes.connect()  # where CPUs meet, it prints


@contextlib.contextmanager
def clear_ends(go_on: str) -> Iterator[None]:
    """`cli.clear_ends` for a run of one or several processes, which end together.

    Where one of several is gone, JAX aborts the others; last words then say how to go
    on. A process that fails does not wait for the others, which would wait for it.

    Args:
      go_on: the command that continues the run.
    """
    import jax

    from metarl_jax import processes

    if jax.process_count() == 1:
        with cli.clear_ends(go_on):
            yield
        return
    place = f"process {jax.process_index()} of {jax.process_count()}"
    words = LastWords(
        f"error: {place} ended early, because of an error or because another process "
        f"is gone; go on from the last checkpoint, in any number of processes, with:\n"
        f"  {go_on}"
    )

    def part():
        processes.leave()
        words.withdraw()

    with _immediate_failure(), cli.clear_ends(go_on):
        try:
            yield
        except cli.Interrupted:
            part()
            raise
        part()


@contextlib.contextmanager
def _immediate_failure() -> Iterator[None]:
    """Ends the process after an error, without the barrier that JAX has at exit."""
    import jax

    code = 1
    try:
        yield
        return
    except SystemExit as stop:
        code = stop.code
    except jax.errors.JaxRuntimeError as error:
        print(f"error: {str(error).splitlines()[0]}", file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
