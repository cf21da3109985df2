"""Files of a run: written whole or not at all, and clear errors when a disk is full."""

import json
import math
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes `value` as indented JSON; a kill leaves the old file or the new one.

    Args:
      path: of the file; its directory must exist.
      value: of mappings, sequences, strings, numbers, numpy and jax arrays (written as
        nested lists). NaN and infinities are not JSON and become null.

    Raises:
      TypeError: `value` holds something else.
      OSError: it cannot be written, as on a full disk; the old file is left.
    """
    text = json.dumps(_plain(value), indent=2, allow_nan=False) + "\n"
    replace_file(path, text.encode())


def read_json(path: str | os.PathLike) -> Any:
    """What `write_json` wrote.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is damaged; names the file.
    """
    path = Path(path)
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise damage(path, str(error)) from None


def damage(path: Path, reason: str) -> ValueError:
    """An error of one line about a file that cannot be read, which says what to do."""
    return ValueError(
        f"{path} is damaged ({reason}): put a copy of it back, or start anew in "
        "another folder"
    )


def make_folder(path: Path) -> None:
    """Makes a folder for results, where there is none, and tries to write into it.

    Raises:
      OSError: it cannot be made or written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except OSError as error:
        raise OSError(
            f"cannot write into {path}: {error.strerror}; choose another folder"
        ) from None


def replace_file(path: str | os.PathLike, content: bytes) -> None:
    """Puts `content` in the place of a file, atomically; raises as `write_json`."""
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise write_error(path, error) from error


def append_file(path: str | os.PathLike, content: bytes) -> None:
    """Appends all of `content` to a file and hands it to the operating system.

    Raises:
      OSError: it cannot be written; the file is cut back to what it was before.
    """
    path = Path(path)
    size = path.stat().st_size if path.exists() else 0
    try:
        with open(path, "ab") as file:
            file.write(content)
    except OSError as error:
        if path.exists():
            os.truncate(path, size)
        raise write_error(path, error) from error


def write_error(path: str | os.PathLike, error: Exception) -> OSError:
    """An OSError of one line that says what was not written, why, and what to do."""
    number = getattr(error, "errno", None)
    reason = str(error).strip().split("\n")[0]
    if code := re.search(r"os_error_code='(\d+)'", str(error)):  # tensorstore's
        number = int(code[1])
    message = (
        f"cannot write {path}: {os.strerror(number) if number else reason}; what was "
        "written before is intact: free some space or choose another place, then resume"
    )
    return OSError(number, message) if number else OSError(message)


def _plain(value: Any) -> Any:
    """`value` in the types of the json module."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if hasattr(value, "__array__"):
        import numpy as np  # commands that only show help do not wait for it

        return _plain(np.asarray(value).tolist())
    return value
