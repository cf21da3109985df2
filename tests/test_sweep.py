"""The sweep command: a grid of runs, each equal to the run it stands for."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import commands
import pytest

import experiments.run
import experiments.sweep
from experiments import grid
from experiments.sweep import plan

ROOT = Path(__file__).parents[1]
SMALL = (
    "--num-iterations=2",
    "--training.num-tasks=2",
    "--training.num-devices=1",
    "--iterations-per-chunk=1",
    "--algorithm.num-adaptation-steps=1",
    "--algorithm.num-episodes=2",
    "--hidden-sizes=8",
    "--horizon=5",
    "--evaluation.num-episodes=2",
    "--evaluation.num-adaptation-steps=1",
)
STEPS = 2 * 2 * 2 * 5 * 2  # iterations, tasks, stages, time steps, episodes


def started(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.sweep", "maml_point", *arguments],
        cwd=ROOT,
        env=os.environ | {"JAX_NUM_CPU_DEVICES": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finished(process):
    out, errors = process.communicate(timeout=300)
    return process.returncode, out, errors


def read(path):
    return json.loads(path.read_text())


def written(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path: path.stat().st_mtime_ns for path in files}


def test_point_of_a_sweep_equals_the_run_with_its_settings(tmp_path, capsys):
    out = tmp_path / "sweep"
    (out / "learning_rate=4e-3" / "metrics.csv").mkdir(parents=True)  # is no file
    points = *SMALL, "--grid=learning_rate=1e-3,4e-3", "--seeds=2", f"--out={out}"
    arguments = experiments.sweep, "maml_point", *points
    with pytest.raises(SystemExit) as ended:
        commands.call(*arguments, "--processes=2", JAX_NUM_CPU_DEVICES="2")
    assert ended.value.code == 2
    errors = capsys.readouterr().err
    assert "failed: learning_rate=4e-3; the same command tries again" in errors
    (out / "learning_rate=4e-3" / "metrics.csv").rmdir()
    before = written(out / "learning_rate=1e-3")
    commands.call(*arguments, "--processes=1", JAX_NUM_CPU_DEVICES="1")
    printed = capsys.readouterr().out
    assert written(out / "learning_rate=1e-3") == before
    run = tmp_path / "run"
    settings = "--num-seeds=2", "--oracle-iterations=0", f"--run-dir={run}"
    commands.call(experiments.run, "maml_point", *SMALL, *settings)  # at 4e-3
    assert read(out / "learning_rate=4e-3" / "returns.json") == read(
        run / "returns.json"
    )
    summary, row = read(run / "summary.json"), read(out / "results.json")
    row = row["learning_rate=4e-3"]
    assert row["iqm_by_step"] == summary["iqm_by_step"]
    assert row["env_steps"] == STEPS
    score, (low, high) = summary["iqm_by_step"][1], summary["iqm_interval_by_step"][1]
    assert f"{score:.2f} [{low:.2f}, {high:.2f}]" in printed
    assert "interquartile mean" in (out / "table.md").read_text()
    assert (out / "adaptation.png").stat().st_size > 100


def test_stopped_sweep_goes_on_from_its_checkpoint(tmp_path):
    point = tmp_path / "learning_rate=1e-3"
    arguments = (
        *(*SMALL, "--num-iterations=400", "--iterations-per-checkpoint=1000"),
        *("--grid=learning_rate=1e-3", "--seeds=2", f"--out={tmp_path}"),
    )
    process = started(*arguments)
    try:
        deadline = time.monotonic() + 300
        while not (point / "metrics.csv").exists():
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        code, out, errors = finished(process)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert code == 130, errors
    assert "go on with:\n  python -m experiments.sweep maml_point" in out
    assert not (point / "row.json").exists()
    (saved,) = (int(path.name) for path in (point / "checkpoints").iterdir())
    logged = (point / "metrics.csv").read_text()
    commands.call(experiments.sweep, "maml_point", *arguments, JAX_NUM_CPU_DEVICES="1")
    log = (point / "metrics.csv").read_text()
    assert log.startswith(logged)
    assert logged.count("\n") == 1 + 2 * saved
    assert log.count("\n") == 1 + 2 * 400


def test_grid_is_the_product_of_its_axes():
    assert grid.points(["a=1,2", "b.c=x"]) == {
        "a=1,b.c=x": ["--a", "1", "--b.c", "x"],
        "a=2,b.c=x": ["--a", "2", "--b.c", "x"],
    }


def test_values_of_a_tuple_have_spaces_between():
    planned = plan("maml_point", ["--grid", "inner_step_sizes=0.5 0.2, 0.1"]).planned
    sizes = {name: point.algorithm.inner_step_sizes for name, point in planned.items()}
    assert sizes == {
        "inner_step_sizes=0.5_0.2": (0.5, 0.2),
        "inner_step_sizes=0.1": (0.1,),
    }


def test_grids_of_other_fields_have_other_folders():
    """And those of other values of the same the same: no point is run twice."""

    def folder(*axes):
        return str(plan("maml_point", [f"--grid={axis}" for axis in axes]).path)

    assert folder("horizon=5") == "runs/sweep_maml_point_horizon"
    assert folder("horizon=5,6") == folder("horizon=5")
    both = folder("horizon=5", "learning_rate=1e-3")
    assert both == "runs/sweep_maml_point_horizon,learning_rate"


def test_settings_and_seeds_hold_for_all_points_and_the_rest_is_the_experiments():
    import dataclasses

    default = experiments.load("maml_point")
    settings = ["--seeds=3", "--horizon=7", "--grid=num_iterations=4,5"]
    planned = plan("maml_point", settings).planned
    assert list(planned) == ["num_iterations=4", "num_iterations=5"]
    assert planned["num_iterations=4"] == dataclasses.replace(
        default,
        oracle_iterations=0,
        environment_options={"horizon": 7},
        training=dataclasses.replace(default.training, num_seeds=3, num_iterations=4),
    )


@pytest.mark.parametrize(
    "arguments, said",
    [
        ([], "a sweep needs a grid: --grid field=a,b,c"),
        (["--grid=learning_rate"], "--grid takes field=a,b,c, not 'learning_rate'"),
        (["--grid=horizon=1,,2"], "--grid takes field=a,b,c"),
        (["--grid=horizon=5,5"], "horizon has 5 twice"),
        (["--grid=horizon=5", "--grid=horizon=6"], "--grid has horizon twice"),
        (
            ["--grid=task_set=x/y,x_y"],
            "_ for a space and for /, has task_set=x_y",
        ),
        (["--grid=learning_rate=1e-3,0.001"], "are the same point"),
        (["--grid=horizon=5,0"], "horizon=0: horizon must be"),
        (["--grid=task_set=test,tset"], "task_set=tset: no task set 'tset'"),
        (["--num-seeds=2", "--grid=horizon=5"], "is given by --seeds"),
        (["--grid=num_seeds=1,2"], "is given by --seeds"),
        (
            ["--horizon=5", "--grid=environment=point,cartpole"],
            "cannot be set for a grid over environment",
        ),
    ],
)
def test_wrong_grid_is_refused_before_anything_runs(arguments, said):
    with pytest.raises(ValueError, match=said):
        plan("maml_point", arguments)


@pytest.mark.parametrize(
    "axis, said",
    [
        ("learning_rat=1", "did you mean --algorithm.outer.learning-rate?"),
        ("learning_rate=1e-3,abc", "could not convert string to float: 'abc'"),
        ("learning_rate=1e-3,-1", "learning_rate must be above 0, not -1.0"),
        ("seed=1,2", "--seed may be any of --training.seed, --evaluation.seed"),
        ("processes=1,2", "no option --processes"),
    ],
)
def test_wrong_field_or_value_gets_one_line(axis, said, capsys):
    with pytest.raises(SystemExit):
        plan("maml_point", [f"--grid={axis}"])
    errors = capsys.readouterr().err
    assert said in errors
    assert len(errors.splitlines()) == 1
