"""The comparison command: equal steps, one table, nothing run twice."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import experiments

ROOT = Path(__file__).parents[1]
STEPS = 80_000  # of an iteration of most rows


def compare(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "experiments.compare", *arguments],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=400,
    )


def small(out):
    rows = "--rows=multi_task,from_scratch"
    return ("point", rows, f"--budget={STEPS}", "--num-seeds=2", f"--out={out}")


def written(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    inside = [path for path in files if path.parent != folder]
    return {path: path.stat().st_mtime_ns for path in inside}


def test_rows_are_trained_once_and_fill_one_table(tmp_path):
    first = compare(*small(tmp_path))
    assert first.returncode == 0, first.stderr
    lines = (tmp_path / "table.md").read_text().splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == [
        "| multi_task",
        "| from_scratch",
    ]
    results = json.loads((tmp_path / "results.json").read_text())
    assert all(row["env_steps"] == STEPS for row in results.values())
    assert all(len(row["return_by_step"]) == 4 for row in results.values())
    assert all(row["peak_memory_mb"] > 100 for row in results.values())
    for name in ("adaptation.png", "learning.png", "table.csv"):
        assert (tmp_path / name).stat().st_size > 100
    before = written(tmp_path)
    again = compare(*small(tmp_path))
    assert again.returncode == 0, again.stderr
    assert written(tmp_path) == before
    other = compare(*small(tmp_path)[:-2], "--num-seeds=1", f"--out={tmp_path}")
    assert other.returncode == 2
    assert "holds another configuration" in other.stderr


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["pont"], "no comparison 'pont'; choose from point"),
        (["point", "--rows=mamml"], "no row 'mamml'; choose from maml"),
        (["point", "--budget=10"], "a budget of 10 steps is below one iteration"),
        (["point", "--num-seeds=0"], "num_seeds must be 1 or more"),
    ],
)
def test_wrong_option_gets_one_line(arguments, said):
    done = compare(*arguments)
    assert done.returncode == 2
    assert said in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", experiments.COMPARISONS)
def test_rows_of_a_comparison_take_the_same_steps_and_have_no_other_name(name):
    from experiments.experiment import build, env_steps_per_iteration

    comparison = experiments.load_comparison(name)
    for row, settings in comparison.rows.items():
        experiment = experiments.load(f"{name}:{row}")
        training = experiment.training
        steps = env_steps_per_iteration(build(experiment), training.num_tasks)
        trained = steps * training.num_iterations
        assert settings.untrained or comparison.budget - steps < trained
        assert trained <= comparison.budget
