"""Runs of the commands: what they leave behind, and how they stop and go on."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import commands
import jax
import numpy as np
import pytest

import envs
import experiments.list
from experiments import compare, demo, depth, evaluate, evaluator, run, trainer
from experiments.cli import Interrupted
from experiments.experiment import build
from experiments.run_directory import RunDirectory
from metarl_jax.evaluation import EvaluationConfig, held_out_tasks
from metarl_jax.training import chunk_program

ROOT = Path(__file__).parents[1]
SMALL = [
    "--training.num-tasks=4",
    "--training.num-seeds=2",
    "--training.iterations-per-chunk=1",
    "--training.iterations-per-checkpoint=1",
    "--algorithm.num-adaptation-steps=1",
    "--algorithm.num-episodes=3",
    "--algorithm.network.hidden-sizes=8",
    "--environment-options.horizon=10",
    "--evaluation.num-episodes=3",
]
ITERATIONS = 20  # enough to be interrupted in
ONLY_TRAINED = ["--evaluation.num-adaptation-steps=0", "--oracle-iterations=0"]


def command(*arguments, **settings):
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **settings,
    )


def run_small(*arguments):
    return command("experiments.run", "maml_point", *SMALL, *arguments)


def finish(process):
    out, errors = process.communicate(timeout=300)
    return process.returncode, out, errors


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "finished"
    steps = ["--evaluation.num-adaptation-steps=2", "--oracle-iterations=1"]
    process = run_small(
        f"--run-dir={folder}", f"--training.num-iterations={ITERATIONS}", *steps
    )
    code, out, errors = finish(process)
    assert code == 0, errors
    return folder, out


def rows_without_seconds(folder):
    with (folder / "metrics.csv").open() as file:
        return [
            {name: value for name, value in row.items() if name != "seconds"}
            for row in csv.DictReader(file)
        ]


def saved_arrays(folder, iteration):
    from orbax.checkpoint import v1 as ocp

    return ocp.load(folder / "checkpoints" / str(iteration))


def assert_same_run(folder, other, iteration):
    assert rows_without_seconds(folder) == rows_without_seconds(other)
    left, right = saved_arrays(folder, iteration), saved_arrays(other, iteration)
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


def test_run_leaves_everything_that_was_promised(finished):
    folder, out = finished
    names = {path.name for path in folder.iterdir()}
    assert names >= {
        "config.json",
        "versions.json",
        "metrics.csv",
        "checkpoints",
        "summary.json",
        "returns.json",
        "tasks.json",
        "learning_curve.png",
        "adaptation_curve.png",
        "returns_by_task.png",
        "trajectories.png",
    }
    assert any(name.startswith("events.out.tfevents") for name in names)
    summary = json.loads((folder / "summary.json").read_text())
    assert len(summary["return_by_step"]) == 3
    for mean, (low, high) in zip(
        summary["return_by_step"], summary["interval_by_step"], strict=True
    ):
        assert low <= mean <= high
    assert len(rows_without_seconds(folder)) == 2 * ITERATIONS
    assert "95% interval" in out


def test_summary_is_the_mean_of_the_raw_returns(finished):
    folder, _ = finished
    summary = json.loads((folder / "summary.json").read_text())
    returns = np.array(
        json.loads((folder / "returns.json").read_text())["meta_trained"]
    )
    assert returns.shape == (2, 40, 3)
    np.testing.assert_allclose(returns.mean((0, 1)), summary["return_by_step"], 1e-5)


def test_evaluate_reads_a_run_and_writes_where_it_is_told(finished, tmp_path):
    folder, _ = finished
    tested = "--task-set=ood", "--num-tasks=6", "--num-adaptation-steps=1"
    commands.call(evaluate, folder, f"--out={tmp_path}", *tested)
    returns = json.loads((tmp_path / "returns.json").read_text())
    assert np.shape(returns["meta_trained"]) == (2, 6, 2)
    assert np.shape(returns["oracle"]) == (2, 6, 1)
    goals = held_out_tasks(envs.make("point")[1], EvaluationConfig("ood", num_tasks=6))
    written = json.loads((tmp_path / "tasks.json").read_text())
    assert list(written) == ["parameter[0]", "parameter[1]"]
    np.testing.assert_allclose(np.transpose(list(written.values())), goals, rtol=1e-6)


def test_algorithm_is_tested_with_other_settings(finished, tmp_path):
    """Steps of another size change the returns after them, and those before not."""
    folder, _ = finished
    settings = ["--algorithm", "inner_step_sizes=1 2", "--algorithm=inner-updates=2"]
    commands.call(evaluate, folder, f"--out={tmp_path}", *settings)
    summaries = [
        json.loads((path / "summary.json").read_text()) for path in (folder, tmp_path)
    ]
    told = [summary["algorithm_settings"] for summary in summaries]
    assert told == [{}, {"inner_step_sizes": [1.0, 2.0], "inner_updates": 2}]
    trained, other = (np.array(summary["return_by_step"]) for summary in summaries)
    np.testing.assert_allclose(trained[0], other[0], rtol=1e-5)
    assert not np.isclose(trained[1:], other[1:]).any()


def wait_until(happens, process):
    deadline = time.monotonic() + 300
    while not happens():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_run_killed_during_a_save_and_then_interrupted_goes_on_bit_for_bit(
    finished, tmp_path
):
    folder = tmp_path / "run"
    saving = folder / "checkpoints"
    saved = lambda: {
        int(path.name) for path in saving.glob("*") if path.name.isdecimal()
    }
    process = run_small(
        f"--run-dir={folder}", f"--training.num-iterations={ITERATIONS}", *ONLY_TRAINED
    )
    wait_until(lambda: saved() and list(saving.glob("*.partial")), process)
    process.kill()
    assert finish(process)[0] == -signal.SIGKILL
    killed_after = max(saved())
    assert killed_after < ITERATIONS

    process = command("experiments.run", "maml_point", f"--resume={folder}")
    wait_until(lambda: max(saved()) > killed_after, process)
    process.send_signal(signal.SIGINT)
    code, out, _ = finish(process)
    assert code == 130
    assert max(saved()) < ITERATIONS
    resume = f"python -m experiments.run maml_point --resume {folder}"
    assert resume in out

    code, _, errors = finish(command(*resume.split()[2:]))
    assert code == 0, errors
    assert_same_run(folder, finished[0], ITERATIONS)


def test_command_to_go_on_with_is_as_it_was_typed(tmp_path, monkeypatch, capsys):
    """Of a run with its folder, and of a test with all options, in quotes if needed."""
    folder = tmp_path / "my run"

    def stop(*_):
        raise Interrupted("stopped")

    monkeypatch.setattr(trainer, "train", stop)
    monkeypatch.setattr(evaluator, "evaluate", stop)
    setting = ["--algorithm", "inner_step_sizes=1 2"]
    for module, arguments in (
        (run, ["maml_point", "--run-dir", folder]),
        (evaluate, [folder, "--num-tasks=6", *setting]),
    ):
        with pytest.raises(SystemExit):
            commands.call(module, *arguments)
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    tested = f"'{folder}' --num-tasks=6 --algorithm 'inner_step_sizes=1 2'"
    assert [line for line in lines if line.startswith("python")] == [
        f"python -m experiments.run maml_point --resume '{folder}'",
        f"python -m experiments.evaluate {tested}",
    ]


@pytest.mark.parametrize("name", ["point:promp", "point:es_maml"])
def test_states_have_the_types_of_a_restored_one(name):
    """Else a resumed run would be another program than a new one, and compile it."""
    experiment = experiments.load(name)
    problem, config = build(experiment), experiment.training
    start = jax.eval_shape(partial(problem.initial_state, config))
    chunk = chunk_program(problem.step(config.num_tasks), problem.axis, 1)
    after, _ = jax.eval_shape(chunk, start, problem.numbers)
    for leaf in jax.tree.leaves((start, after)):
        assert not leaf.weak_type


def test_run_with_infinite_step_stops_with_iteration_and_checkpoint(tmp_path, capsys):
    iterations = "--training.num-iterations=5"
    step = "--algorithm.inner-step-sizes=1e30"
    arguments = [*SMALL, f"--run-dir={tmp_path / 'run'}", iterations, step]
    with pytest.raises(SystemExit) as ended:
        commands.call(run, "maml_point", *arguments)
    assert ended.value.code == 1
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "is not finite at iteration" in line
    assert "checkpoint" in line


WRONG = {
    "maml_pont": "choose from maml_point",
    "maml_point --algorithm.num-adaption-steps=2": "num-adaptation-steps",
    "maml_point --algorithm.num-adaptation-steps=-1": "0 or more, not -1",
    "maml_point --algorithm.inner-surrogate=dicce": "dice",
    "maml_point --environment=pont": "point",
    "maml_point --evaluation.task-set=new": "finn2017",
    "maml_point --training.num-tasks=0": "num_tasks must be 1 or more",
    "maml_point --resume=nowhere": "no run in nowhere",
}


@pytest.mark.parametrize("arguments, said", WRONG.items())
def test_wrong_option_gets_one_line_with_the_valid_choices(arguments, said, capsys):
    with pytest.raises(SystemExit) as ended:
        commands.call(run, *arguments.split())
    out, errors = capsys.readouterr()
    assert ended.value.code == 2
    assert said in errors
    assert len(errors.strip().splitlines()) == 1
    assert out == ""


@pytest.mark.parametrize(
    "module, arguments, name",
    [
        (run, ["maml_point", "--resume", ""], "--resume"),
        (run, ["maml_point", "--run-dir="], "--run-dir"),
        (compare, ["point", "--rows", ""], "--rows"),
        (compare, ["point", "--rows=maml", ""], "an argument"),
        (evaluate, [""], "an argument"),
    ],
)
def test_variable_that_was_never_set_is_no_folder_and_no_default(
    module, arguments, name, capsys
):
    with pytest.raises(SystemExit):
        commands.call(module, *arguments)
    assert capsys.readouterr().err == (
        f"error: {name} is empty, as a variable is that was never set: give a value, "
        "or leave it out\n"
    )


def test_demonstration_starts_afresh_where_its_configuration_is_gone(tmp_path):
    experiment = experiments.load("maml_point")
    directory = RunDirectory(tmp_path)
    directory.checkpoints.mkdir()
    demo._prepare(directory, experiment)
    assert directory.load() == ("maml_point", experiment)
    assert not directory.checkpoints.exists()
    directory.checkpoints.mkdir()
    demo._prepare(directory, experiment)  # goes on
    assert directory.checkpoints.exists()


def test_command_with_a_wrong_option_says_nothing_else():
    code, out, errors = finish(
        command("experiments.run", *"maml_point --see=1".split())
    )
    assert (code, out) == (2, "")
    assert len(errors.strip().splitlines()) == 1


def test_list_names_every_experiment_environment_and_algorithm(capsys, monkeypatch):
    from metarl_jax.algorithms import ALGORITHMS

    monkeypatch.setattr(sys, "argv", ["list"])
    experiments.list.main()
    out = capsys.readouterr().out
    names = [*experiments.EXPERIMENTS, *experiments.COMPARISONS, *envs.ENVIRONMENTS]
    for name in names:
        assert name in out
    algorithms = out.partition("Algorithms")[2].splitlines()[1]
    assert set(algorithms.strip().split(", ")) == {
        make.__name__ for make in ALGORITHMS.values()
    }


def test_depth_measures_both_ways_of_differentiating(tmp_path):
    sizes = ["--steps=2", "--horizon=5", "--num-episodes=2", f"--out={tmp_path}"]
    commands.call(depth, *sizes)
    with (tmp_path / "depth.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["rematerialize"] for row in rows] == ["False", "True"]
    norms = [float(row["gradient_norm"]) for row in rows]
    np.testing.assert_allclose(norms[0], norms[1], rtol=1e-4)
    assert (tmp_path / "depth.png").stat().st_size > 1000
