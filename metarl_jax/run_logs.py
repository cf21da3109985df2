"""What a run reports while it trains: a CSV file and TensorBoard events."""

import os
import struct
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from metarl_jax.run_files import append_file, replace_file

CSV_NAME = "metrics.csv"
EVENTS_NAME = "events.out.tfevents"  # TensorBoard finds event files by this name


class MetricsLog:
    """Appends metrics to `metrics.csv` and to TensorBoard events in a run directory.

    The CSV file has one row per iteration and seed, in the columns `iteration`,
    `seed`, `seconds`, `env_steps` and then the metrics; numbers read back equal to the
    last bit. TensorBoard gets the means over seeds.

    All that `write` was given is in the hands of the operating system when it returns,
    so write before saving the checkpoint of the same iteration: a run resumed from
    that checkpoint then has the same log, but for the seconds, as one never stopped.

    C is the number of iterations of a chunk, S that of seeds.

    Args:
      directory: of the run; made if it is missing.
      start_iteration: how many iterations are complete: rows of later ones, which a
        stopped run has left, are dropped, and TensorBoard hides their events.

    Raises:
      OSError: the directory cannot be written; what was logged before is left.
    """

    def __init__(self, directory: str | os.PathLike, start_iteration: int = 0):
        self._csv = Path(directory) / CSV_NAME
        self._events = Path(directory) / f"{EVENTS_NAME}.{start_iteration:09d}"
        Path(directory).mkdir(parents=True, exist_ok=True)
        _drop_rows(self._csv, start_iteration)
        for path in Path(directory).glob(f"{EVENTS_NAME}.*"):
            if path.name >= self._events.name:
                path.unlink()
        append_file(self._events, _session_start(start_iteration))

    def write(
        self,
        iteration: ArrayLike,
        seconds: ArrayLike,
        env_steps: ArrayLike,
        metrics: Mapping[str, ArrayLike],
    ) -> None:
        """Logs a chunk of iterations.

        Args:
          iteration: [C], counted from 0.
          seconds: [C] or one number, since the run started.
          env_steps: [C] or one number, environment steps of one seed since the run
            started, this iteration's included.
          metrics: [C, S, ...] each, with the same C and S; `return` of shape
            [C, S, 2] becomes the columns `return_0` and `return_1`.

        Raises:
          ValueError: the shapes disagree, or the metrics are not those of the file.
          OSError: it cannot be written, as on a full disk; what was logged before is
            left.
        """
        iteration = np.atleast_1d(iteration)
        seconds = np.broadcast_to(seconds, iteration.shape)
        env_steps = np.broadcast_to(env_steps, iteration.shape)
        columns = _columns(metrics, len(iteration))
        header = ["iteration", "seed", "seconds", "env_steps", *columns]
        rows = _rows(iteration, seconds, env_steps, columns)
        append_file(self._csv, self._header(header) + "".join(rows).encode())
        events = _scalar_events(iteration, columns)
        append_file(self._events, events)

    def _header(self, names: list[str]) -> bytes:
        """The first line, where it is not yet written."""
        line = ",".join(names) + "\n"
        if not self._csv.exists() or self._csv.stat().st_size == 0:
            return line.encode()
        with open(self._csv, encoding="utf-8") as file:
            present = file.readline()
        if present != line:
            raise ValueError(
                f"{self._csv} has the columns {present.strip()}, not {line.strip()}: "
                "log other metrics in another run directory"
            )
        return b""


def read_metrics(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The columns of a metrics.csv, [S, I] each; `return` is `return_0`, ..."""
    table = np.genfromtxt(path, delimiter=",", names=True, ndmin=1)
    seeds = np.unique(table["seed"])
    rows_of = [table["seed"] == seed for seed in seeds]
    return {
        name: np.stack([table[name][rows] for rows in rows_of])
        for name in table.dtype.names
    }


def _drop_rows(path: Path, start_iteration: int) -> None:
    """Keeps the header and the whole rows of iterations before `start_iteration`."""
    if not path.exists():
        return
    content = path.read_bytes()
    header, *rows = content[: content.rfind(b"\n") + 1].splitlines(keepends=True) or [
        b""
    ]
    kept = [row for row in rows if int(row.split(b",", 1)[0]) < start_iteration]
    kept = b"".join([header, *kept]) if kept else b""
    if kept != content:
        replace_file(path, kept)


def _columns(metrics: Mapping[str, ArrayLike], num_iterations: int) -> dict:
    """Each metric as one or more columns [C, S]."""
    columns = {}
    for name, value in metrics.items():
        value = np.asarray(value)
        if value.ndim < 2 or value.shape[0] != num_iterations:
            raise ValueError(
                f"metric {name} must be [{num_iterations} iterations, seeds, ...], "
                f"got shape {value.shape}"
            )
        for index in np.ndindex(value.shape[2:]):
            suffix = "".join(f"_{i}" for i in index)
            columns[name + suffix] = value[:, :, *index]
    if len({column.shape for column in columns.values()}) > 1:
        shapes = {name: column.shape for name, column in columns.items()}
        raise ValueError(f"metrics differ in their number of seeds: {shapes}")
    return columns


def _rows(
    iteration: np.ndarray, seconds: np.ndarray, env_steps: np.ndarray, columns: dict
) -> list[str]:
    num_seeds = next(iter(columns.values())).shape[1] if columns else 1
    return [
        ",".join(
            str(value)
            for value in (
                iteration[row],
                seed,
                f"{seconds[row]:.3f}",
                env_steps[row],
                *(column[row, seed] for column in columns.values()),
            )
        )
        + "\n"
        for row in range(len(iteration))
        for seed in range(num_seeds)
    ]


def _session_start(start_iteration: int) -> bytes:
    """Makes TensorBoard drop the events of this and later iterations."""
    from tensorboardX.proto.event_pb2 import Event, SessionLog

    now = time.time()
    version = Event(wall_time=now, file_version="brain.Event:2")
    start = SessionLog(status=SessionLog.START)
    session = Event(wall_time=now, step=start_iteration, session_log=start)
    return _record(version) + _record(session)


def _scalar_events(iteration: np.ndarray, columns: dict) -> bytes:
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.summary_pb2 import Summary

    now = time.time()
    means = {name: column.mean(axis=1) for name, column in columns.items()}
    events = []
    for row, step in enumerate(iteration):
        values = [
            Summary.Value(tag=name, simple_value=float(mean[row]))
            for name, mean in means.items()
        ]
        summary = Summary(value=values)
        events.append(_record(Event(wall_time=now, step=int(step), summary=summary)))
    return b"".join(events)


def _record(event) -> bytes:
    """An event in the framing of TensorFlow's record files."""
    from tensorboardX.record_writer import masked_crc32c

    data = event.SerializeToString()
    length = struct.pack("<Q", len(data))
    checks = [struct.pack("<I", masked_crc32c(part)) for part in (length, data)]
    return length + checks[0] + data + checks[1]
