"""What a user waits for before anything runs."""

import subprocess
import sys

import pytest

from experiments import startup

COMMANDS = (
    "analyse benchmark compare demo depth evaluate formulations gradient_quality list "
    "run scaling startup sweep time_to_return"
).split()
SMALL = ["--environment-options.horizon=5", "--algorithm.num-episodes=2"]


def test_help_of_no_command_loads_jax():
    """All in one process, which must not have loaded it after any of them."""
    script = """
import contextlib, io, runpy, sys
for command in sys.argv[1:]:
    sys.argv = [command, "--help"]
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            runpy.run_module(f"experiments.{command}", run_name="__main__")
    except SystemExit as stop:
        assert not stop.code, f"{command}: {stop.code}"
    assert said.getvalue(), command
    assert "jax" not in sys.modules and "numpy" not in sys.modules, command
"""
    command = [sys.executable, "-c", script, *COMMANDS]
    ended = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    assert ended.returncode == 0, ended.stderr


def test_startup_shows_what_it_timed(capsys, monkeypatch):
    """The second run reads the program that the first one has kept, or fails on it."""
    timed, kept = startup.seconds_to_first_iteration, []
    monkeypatch.setenv("JAX_RAISE_PERSISTENT_CACHE_ERRORS", "true")

    def watched(folder, cache, arguments):
        taken = timed(folder, cache, arguments)
        programs = set(folder.rglob("jit_run-*"))
        kept.append(programs)
        if cache == "filled":
            for program in programs:
                program.write_bytes(b"damaged")
            with pytest.raises(ValueError):
                timed(folder, "damaged", arguments)
        return taken

    monkeypatch.setattr(startup, "seconds_to_first_iteration", watched)
    startup.main(["maml_point", *SMALL])
    rows = [line.rsplit(maxsplit=2) for line in capsys.readouterr().out.splitlines()]
    taken = {name: float(seconds) for name, seconds, _ in rows}
    assert len(taken) == 6
    assert min(taken.values()) > 0
    for cache in ("empty", "filled"):
        assert f"first meta-iteration, {cache} cache" in taken
    first, second = kept
    assert first and second == first


def test_startup_of_what_does_not_exist_gets_one_line(capsys):
    with pytest.raises(SystemExit) as stop:
        startup.main(["nothing"])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: no experiment 'nothing'") and error.count("\n") == 1
