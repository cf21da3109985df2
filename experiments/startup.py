"""python -m experiments.startup NAME [--any.field value]: seconds until it runs.

Times, each in new processes: imports, --help, and an experiment from its command until
its first meta-iteration is logged, with an empty and with a filled compilation cache.
Further arguments are those of experiments.run.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from experiments import cli

_ONE_ITERATION = ("--training.num-iterations=1", "--oracle-iterations=0")
_METRICS = "metrics.csv"


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)
        raise SystemExit(0 if arguments else 2)
    run = "-m", "experiments.run"
    imports = "import envs, metarl_jax.algorithms, metarl_jax.training"
    with cli.clear_errors(), tempfile.TemporaryDirectory() as folder:
        _show("import jax", seconds("-c", "import jax"))
        _show("import metarl_jax and envs", seconds("-c", imports))
        _show("experiments.run --help", seconds(*run, "--help"))
        _show(f"experiments.run {arguments[0]} --help", seconds(*run, *arguments, "-h"))
        for cache in ("empty", "filled"):
            taken = seconds_to_first_iteration(Path(folder), cache, arguments)
            _show(f"first meta-iteration, {cache} cache", taken)


def seconds(*arguments: str) -> float:
    """How long a Python process with these arguments takes.

    Raises:
      ValueError: if it fails, with the last line that it said.
    """
    start = time.perf_counter()
    command = [sys.executable, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True)
    taken = time.perf_counter() - start
    _check(ended.returncode, ended.stderr)
    return taken


def seconds_to_first_iteration(folder: Path, name: str, arguments: list[str]) -> float:
    """From the start of experiments.run until its first metrics, at which it is ended.

    Args:
      folder: holds the compilation cache, which the first call fills.
      name: of the run in it.
      arguments: of experiments.run.
    """
    run_dir = folder / name
    command = [sys.executable, "-m", "experiments.run", *arguments, *_ONE_ITERATION]
    with tempfile.TemporaryFile("w+") as errors:  # a pipe that is not read would fill
        start = time.perf_counter()
        process = subprocess.Popen(
            [*command, f"--run-dir={run_dir}"],
            env=os.environ | {"XDG_CACHE_HOME": str(folder / "cache")},
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
        while process.poll() is None and not _has_row(run_dir / _METRICS):
            time.sleep(0.01)
        taken = time.perf_counter() - start
        process.kill()
        code = process.wait()
        errors.seek(0)
        if not _has_row(run_dir / _METRICS):
            _check(code, errors.read())
    return taken


def _has_row(path: Path) -> bool:
    return path.exists() and path.read_text().count("\n") > 1


def _check(code: int, errors: str) -> None:
    if code:
        raise ValueError(errors.strip().split("\n")[-1].removeprefix("error: "))


def _show(what: str, taken: float) -> None:
    print(f"{what:45} {taken:6.2f} s", flush=True)


if __name__ == "__main__":
    main()
