"""Checkpoints: any pytree of arrays on disk, whole or not at all, and never pickled."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from metarl_jax import processes
from metarl_jax.run_files import write_error

_PARTIAL = ".partial"
_SCALAR = bool | int | float | complex
_SAVEABLE = _SCALAR | jax.Array | np.ndarray | np.number | np.bool_


class Checkpoints:
    """The newest checkpoints of one run, one directory per iteration.

    A checkpoint is a flat dict of numpy arrays, written by orbax under the paths of
    the leaves. It knows nothing of devices: what was saved from two of them loads on
    one. Typed keys are stored as their data and the name of their generator.

    Only `save` changes the directory, so a run can be read while it is training. Saves
    are blocking; nothing is left to close.

    Several processes save and restore together, each the same state, in a directory
    that all of them see; any number of processes can restore it.

    Args:
      directory: of the checkpoints; made by the first `save`.
      keep: how many of the newest checkpoints to keep, at least 1.

    Raises:
      ValueError: `keep` is less than 1.
    """

    def __init__(self, directory: str | os.PathLike, keep: int = 3):
        if keep < 1:
            raise ValueError(f"keep must be at least 1, got {keep}")
        self.directory = Path(directory).absolute()
        self.keep = keep

    def save(
        self, iteration: int, state: Any, config: Mapping[str, Any] | None = None
    ) -> None:
        """Saves `state`, replacing a checkpoint of the same iteration.

        A kill at any time leaves the earlier checkpoints and, at most, a directory
        that is ignored and removed by the next save.

        Args:
          iteration: the number of completed iterations; names the checkpoint.
          state: a pytree of jax and numpy arrays, typed keys and Python numbers; fully
            addressable by this process.
          config: what made the state, in the types of JSON; kept beside it.

        Raises:
          TypeError: a leaf is something else.
          OSError: it cannot be written, as on a full disk; the earlier checkpoints are
            left.
        """
        specs, arrays = _to_arrays(state)
        final = self.directory / str(int(iteration))
        partial = self.directory / f"{final.name}{_PARTIAL}"
        try:
            processes.on_first(self._prepare, partial)
            _write(partial / "new", {"leaves": specs, "config": config}, arrays)
            processes.on_first(self._finish, partial, final)
        except Exception as error:
            raise write_error(final, error) from error
        finally:
            if processes.is_first():
                shutil.rmtree(partial, ignore_errors=True)

    def iterations(self) -> list[int]:
        """The iterations that have a complete checkpoint, in ascending order."""
        if not self.directory.is_dir():
            return []
        names = (path.name for path in self.directory.iterdir() if path.is_dir())
        return sorted(int(name) for name in names if name.isdecimal())

    def latest(self) -> int | None:
        """The iteration of the newest checkpoint; None where there is none."""
        return max(self.iterations(), default=None)

    def restore(self, example: Any, iteration: int | None = None) -> Any:
        """Loads a checkpoint, equal to what was saved to the last bit.

        Args:
          example: a pytree with the structure, shapes and dtypes of the saved state,
            such as a new state or `jax.eval_shape` of its initialisation.
          iteration: which checkpoint; None: the newest.

        Returns:
          The state. What is a numpy array or a Python number in `example` stays one;
          all else are jax arrays, uncommitted on the default device, so that any
          computation accepts them, on however many devices.

        Raises:
          FileNotFoundError: there is no such checkpoint.
          ValueError: it has other leaves, shapes or dtypes than `example`, or cannot be
            read.
        """
        path = self._path(iteration)
        stored_specs, arrays = _read(path)
        leaves, structure = jax.tree_util.tree_flatten_with_path(example)
        specs = {jax.tree_util.keystr(key): _spec(leaf) for key, leaf in leaves}
        _check_match(path, specs, stored_specs)
        restored = [
            _from_array(leaf, stored_specs[name], arrays[name])
            for name, (_, leaf) in zip(specs, leaves, strict=True)
        ]
        return jax.tree_util.tree_unflatten(structure, restored)

    def config(self, iteration: int | None = None) -> dict[str, Any] | None:
        """The `config` that a checkpoint was saved with; arguments as in `restore`.

        Raises:
          FileNotFoundError: there is no such checkpoint.
          ValueError: it cannot be read.
        """
        path = self._path(iteration)
        with _damage_named(path):
            return _read_metadata(path)["config"]

    def _path(self, iteration: int | None) -> Path:
        saved = self.iterations()
        if not saved:
            raise FileNotFoundError(
                f"no checkpoint in {self.directory}: name the directory of a run that "
                "has saved one, or start the run anew"
            )
        if iteration is None:
            iteration = saved[-1]
        if iteration not in saved:
            choices = ", ".join(map(str, saved))
            raise FileNotFoundError(
                f"no checkpoint of iteration {iteration} in {self.directory}: "
                f"choose one of {choices}"
            )
        return self.directory / str(iteration)

    def _prepare(self, partial: Path) -> None:
        """Makes a new directory beside the checkpoints, for all that is unfinished."""
        self.directory.mkdir(parents=True, exist_ok=True)
        for path in self.directory.glob(f"*{_PARTIAL}"):
            shutil.rmtree(path, ignore_errors=True)
        partial.mkdir()

    def _finish(self, partial: Path, final: Path) -> None:
        """Puts what was written in its place, and what is too old out of it."""
        _flush_to_disk(partial)
        if final.exists():
            os.replace(final, partial / "replaced")
        os.replace(partial / "new", final)
        for iteration in self.iterations()[: -self.keep]:
            os.replace(self.directory / str(iteration), partial / str(iteration))


def _spec(leaf: Any) -> dict[str, Any]:
    """The shape and dtype of a leaf, ready for JSON."""
    if isinstance(leaf, _SCALAR):
        return {"shape": [], "dtype": type(leaf).__name__}
    return {"shape": list(leaf.shape), "dtype": str(leaf.dtype)}


def _to_arrays(state: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The leaves by path: `(what they are, their numpy arrays)`."""
    specs, arrays = {}, {}
    for key, leaf in jax.tree_util.tree_flatten_with_path(state)[0]:
        name = jax.tree_util.keystr(key)
        if not isinstance(leaf, _SAVEABLE):
            raise TypeError(
                f"cannot save {name}: {type(leaf).__name__} is no array and no number"
            )
        specs[name] = _spec(leaf)
        if _is_key(leaf):
            specs[name]["generator"] = str(jax.random.key_impl(leaf))
            leaf = jax.random.key_data(leaf)
        arrays[name] = np.asarray(leaf)
    return specs, arrays


def _from_array(example: Any, spec: Mapping[str, Any], array: np.ndarray) -> Any:
    """The leaf that `example` stands for."""
    if isinstance(example, _SCALAR):
        return type(example)(array[()])
    if isinstance(example, np.ndarray | np.generic):
        return array if isinstance(example, np.ndarray) else array[()]
    if "generator" in spec:
        return jax.random.wrap_key_data(jnp.array(array), impl=spec["generator"])
    return jnp.array(array)


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(getattr(leaf, "dtype", None), jax.dtypes.prng_key)


def _write(path: Path, metadata: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    stored = {name: array for name, array in arrays.items() if array.size}
    _check_space(path.parent, sum(array.nbytes for array in stored.values()))
    with _quiet_orbax() as ocp:
        ocp.save(path, stored, custom_metadata=metadata)


def _read_metadata(path: Path) -> dict[str, Any]:
    with _quiet_orbax() as ocp:
        return ocp.metadata(path).custom_metadata


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What `_write` wrote; orbax stores no empty arrays."""
    with _damage_named(path):
        specs = _read_metadata(path)["leaves"]
        with _quiet_orbax() as ocp:
            stored = ocp.load(path)
        empty = {
            name: np.zeros(spec["shape"], spec["dtype"])
            for name, spec in specs.items()
            if 0 in spec["shape"]
        }
        return specs, {name: {**stored, **empty}[name] for name in specs}


@contextlib.contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """One clear line where what is at `path` cannot be read."""
    try:
        yield
    except Exception as error:
        reason = str(error).strip().split("\n")[0]
        raise ValueError(
            f"cannot read the checkpoint {path}: {reason}; remove it to use an "
            "earlier one"
        ) from error


def _check_space(directory: Path, num_bytes: int) -> None:
    """Fails before orbax starts its threads, whose failures are noisy."""
    if shutil.disk_usage(directory).free < num_bytes + 2**16:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _flush_to_disk(directory: Path) -> None:
    """Hands the files to the disk itself, and so shows a full disk that lies."""
    for path in directory.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                os.fsync(file.fileno())


@contextlib.contextmanager
def _quiet_orbax() -> Iterator[Any]:
    """Orbax, imported when first needed; it raises its errors and need not log them."""
    from absl import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.FATAL)
    try:
        from orbax.checkpoint import v1

        yield v1
    finally:
        logging.set_verbosity(verbosity)


def _check_match(path: Path, specs: Mapping, stored: Mapping) -> None:
    differences = [
        f"{name} is {_name(stored.get(name))}, expected {_name(specs.get(name))}"
        for name in {**specs, **stored}
        if _name(specs.get(name)) != _name(stored.get(name))
    ]
    if differences:
        more = len(differences) - 3
        text = "; ".join(differences[:3]) + (f"; and {more} more" if more > 0 else "")
        raise ValueError(
            f"the checkpoint {path} is of another configuration: {text}"
        ) from None


def _name(spec: Mapping | None) -> str:
    return f"{spec['dtype']}{spec['shape']}" if spec else "absent"
