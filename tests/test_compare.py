"""The comparison command: equal steps or seconds, one table, nothing run twice."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import commands
import numpy as np
import pytest
from small_comparison import STEPS

import experiments
from experiments import compare
from experiments.compare import Options, plan, plan_speeds
from experiments.comparison import trained_for
from experiments.rows import name_failures
from metarl_jax.algorithms import TaskEmbeddingConfig
from metarl_jax.machine import device_kind
from metarl_jax.minibatches import MinibatchConfig
from metarl_jax.networks import NetworkConfig
from metarl_jax.trial_optimizers import TrialTrustRegionConfig

ROOT = Path(__file__).parents[1]


@pytest.fixture
def small_point(monkeypatch):
    monkeypatch.setitem(experiments.COMPARISONS, "small_point", "small_comparison")


def planned(out, rows):
    return plan(Options("small_point", rows, budget=STEPS, num_seeds=2, out=out))[1]


def failed(*arguments):
    """Calls the command, which must end with code 2."""
    with pytest.raises(SystemExit) as ended:
        commands.call(compare, *arguments, JAX_NUM_CPU_DEVICES="1")
    assert ended.value.code == 2


def written(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path: path.stat().st_mtime_ns for path in files}


def names_of_rows(table):
    return [line.split(" | ")[0].strip("| ") for line in table.splitlines()[2:]]


def test_rows_are_trained_once_and_one_that_failed_again(tmp_path, small_point, capsys):
    arguments = (
        *("small_point", "--rows=from_scratch,multi_task", f"--budget={STEPS}"),
        *("--num-seeds=2", f"--out={tmp_path}"),
    )
    no_file = tmp_path / "from_scratch" / "metrics.csv"
    no_file.mkdir(parents=True)
    failed(*arguments)
    errors = capsys.readouterr().err
    assert errors == "error: failed: from_scratch; the same command tries again\n"
    results = json.loads((tmp_path / "results.json").read_text())
    assert results.keys() == {"multi_task", "from_scratch"}
    assert results["from_scratch"]["failed"].startswith("IsADirectoryError: ")
    before = written(tmp_path / "multi_task")
    no_file.rmdir()
    commands.call(compare, *arguments, JAX_NUM_CPU_DEVICES="1")
    assert written(tmp_path / "multi_task") == before
    results = planned(tmp_path, "from_scratch")
    assert results.is_done("from_scratch")
    results.write()
    table = (tmp_path / "table.md").read_text().partition("\n\n")[0]
    assert names_of_rows(table) == ["multi_task", "from_scratch"]
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["multi_task"]["env_steps"] == STEPS
    assert results["from_scratch"]["env_steps"] == 0
    assert all(len(row["return_by_step"]) == 4 for row in results.values())
    assert all(row["peak_memory_mb"] > 100 for row in results.values())
    for name in ("adaptation.png", "learning.png", "table.csv"):
        assert (tmp_path / name).stat().st_size > 100


def test_row_of_another_configuration_is_refused_and_left_out_of_the_table(
    tmp_path, small_point
):
    results = planned(tmp_path, "maml,fomaml")
    results.prepare(["maml", "fomaml"])
    for name in ("maml", "fomaml"):
        results.record_failure(name, "for a test")
    config = tmp_path / "maml" / "config.json"
    config.write_text(config.read_text().replace('"num_seeds": 2', '"num_seeds": 3'))
    assert names_of_rows(results.table()) == ["fomaml"]
    with pytest.raises(ValueError, match="maml holds another configuration"):
        results.prepare(["maml"])


def test_failed_row_is_in_the_table_with_its_reason_and_not_done(tmp_path, small_point):
    results = planned(tmp_path, "maml")
    results.prepare(["maml"])
    results.record_failure("maml", "loss | ratio is\nnot finite")
    results.write()
    assert not results.is_done("maml")
    row = results.table().splitlines()[2]
    assert row.startswith("| maml | failed: loss / ratio is not finite |")
    assert "maml" in (tmp_path / "table.csv").read_text()


def test_stopped_comparison_saves_its_row_and_says_how_to_go_on(tmp_path):
    arguments = ("point", "--rows=multi_task", "--num-seeds=1", f"--out={tmp_path}")
    process = subprocess.Popen(
        [sys.executable, "-m", "experiments.compare", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 300
        while not (tmp_path / "multi_task" / "metrics.csv").exists():
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        out, errors = process.communicate(timeout=100)  # also ends with the row's
        assert process.returncode == 130, errors
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert f"python -m experiments.compare {' '.join(arguments)}" in out
    assert any((tmp_path / "multi_task" / "checkpoints").iterdir())
    assert not (tmp_path / "multi_task" / "row.json").exists()


def test_compiled_seconds_leave_out_first_chunks_and_restarts(tmp_path):
    from experiments.row_results import compiled_seconds

    def logged(*seconds):  # chunks of two iterations of two seeds
        path = tmp_path / "metrics.csv"
        rows = [
            f"{2 * chunk + i},{seed},{second}"
            for chunk, second in enumerate(seconds)
            for i in range(2)
            for seed in range(2)
        ]
        path.write_text("\n".join(["iteration,seed,seconds", *rows]) + "\n")
        return path

    assert compiled_seconds(logged(9.0, 11.0, 13.0)) == 3.0
    assert compiled_seconds(logged(9.0, 11.0, 13.0, 5.0, 7.0)) == 5.0
    assert compiled_seconds(logged(9.0)) is None


def test_unknown_comparison_gets_one_line(capsys):
    failed("pont")
    errors = capsys.readouterr().err
    assert errors.startswith("error: no comparison 'pont'; choose from point")
    assert len(errors.splitlines()) == 1


def test_blanks_around_names_of_rows_do_not_count():
    options = Options("point", rows="maml, promp ")
    comparison = experiments.load_comparison("point")
    assert compare._chosen(options, comparison) == ["maml", "promp"]


@pytest.mark.parametrize(
    "options, said",
    [
        ({"rows": "mamml"}, "no row 'mamml'; choose from maml"),
        ({"budget": 10}, "a budget of 10 steps is below one iteration"),
        ({"num_seeds": 0}, "num_seeds must be 1 or more"),
        ({"budget": 10, "seconds": 1.0}, "give --budget or --seconds, not both"),
        ({"seconds": 0.0}, "--seconds must be above 0"),
    ],
)
def test_wrong_option_is_refused_before_anything_runs(options, said):
    with pytest.raises(ValueError, match=said):
        plan(Options("point", **options))


def measured(out, rows, seconds, seconds_per_iteration):
    """Options for rows whose iterations take that long, as if measured before."""
    options = Options("point", rows, seconds=seconds, out=out)
    chosen, speeds = plan_speeds(options)
    speeds.prepare(chosen)
    for name in chosen:
        row = {"seconds_per_iteration": seconds_per_iteration, "device": device_kind()}
        speeds.record(name, row)
    return options


def test_row_has_as_many_iterations_as_fit_into_the_seconds(tmp_path):
    options = measured(tmp_path, "maml,from_scratch", 10.0, 0.4)
    experiment = plan(options)[1].planned["maml"]
    assert experiment.training.num_iterations == 25
    assert experiment.algorithm.outer.decay_iterations == 25
    assert plan(options)[1].planned.keys() == {"maml", "from_scratch"}


def test_all_learning_rates_of_a_row_that_fall_do_so_over_its_iterations(tmp_path):
    row = plan(measured(tmp_path, "varibad", 10.0, 0.4))[1].planned["varibad"].algorithm
    decays = row.outer.decay_iterations, row.belief_learning.decay_iterations
    assert decays == (25, 25)


def test_rates_that_fall_inside_of_a_part_do_so_over_the_iterations_too():
    falling = MinibatchConfig(decay_iterations=1)
    outer = TrialTrustRegionConfig(critic=falling)
    algorithm = TaskEmbeddingConfig(outer=outer, network=NetworkConfig((7,)))
    experiment = dataclasses.replace(
        experiments.load("task_embedding_point"), algorithm=algorithm
    )
    trained = trained_for(experiment, 25).algorithm
    critic = dataclasses.replace(falling, decay_iterations=25)
    expected = dataclasses.replace(outer, critic=critic)
    assert trained == dataclasses.replace(algorithm, outer=expected)


def test_rows_that_cannot_be_timed_have_failed_and_do_not_stop_the_others(
    tmp_path, capsys
):
    """Rows of one iteration that fits, of one that does not, and without a speed."""
    measured(tmp_path, "maml,fomaml", 1.0, 2.0)
    measured(tmp_path, "promp", 1.0, 0.5)
    rows = "maml,promp,fomaml,anil"
    options = Options("point", rows, seconds=1.0, out=tmp_path)
    _, speeds = plan_speeds(options)
    speeds.prepare(["anil"])
    speeds.record_failure("anil", "too large")
    chosen, results = plan(options)
    results.write()
    assert chosen == rows.split(",")
    assert results.planned.keys() == {"promp"}
    assert [name for name in chosen if results.has_failed(name)] == [
        *("maml", "fomaml", "anil")
    ]
    with pytest.raises(SystemExit):
        name_failures(chosen, results)
    assert "error: failed: maml, fomaml, anil; the same" in capsys.readouterr().err
    written = json.loads((tmp_path / "results.json").read_text())
    assert written["maml"] == {
        "failed": "1 seconds are below one iteration of maml, 2 s"
    }
    assert written["anil"] == {
        "failed": "an iteration could not be measured: too large"
    }


def test_speeds_of_another_device_are_refused(tmp_path):
    options = measured(tmp_path, "maml", 10.0, 0.4)
    chosen, speeds = plan_speeds(options)
    speeds.prepare(chosen)
    row = {"seconds_per_iteration": 0.4, "device": "an abacus"}
    speeds.record("maml", row)
    with pytest.raises(ValueError, match="maml was measured on an abacus, and this is"):
        speeds.prepare(chosen)


def test_learning_curve_is_drawn_against_the_seconds_that_were_taken(
    tmp_path, monkeypatch
):
    """Planned for 10 seconds, of 4 iterations; each then took 3, and not 2.5."""
    from metarl_jax import plots

    curves, draw = {}, plots.learning_curves
    drawn = lambda given, unit: curves.update(given) or draw(given, unit)
    monkeypatch.setattr(plots, "learning_curves", drawn)
    _, results = plan(measured(tmp_path, "maml", 10.0, 2.5))
    results.prepare(["maml"])
    rows = [f"{i},0,{9 + 3 * i},{8 * i + 8},{i}" for i in range(4)]
    lines = ["iteration,seed,seconds,env_steps,return_1", *rows]
    (tmp_path / "maml" / "metrics.csv").write_text("\n".join(lines) + "\n")
    costs = dict.fromkeys(["env_steps", "seconds_per_seed", "peak_memory_mb"], 32)
    scores = {"return_by_step": [0.0], "interval_by_step": [[0.0, 0.0]]}
    results.record("maml", scores | costs)
    results.write()
    seconds, returns = curves["maml"]
    np.testing.assert_allclose(seconds, [3, 6, 9, 12])
    np.testing.assert_array_equal(returns, [[0, 1, 2, 3]])
    table = " ".join((tmp_path / "table.md").read_text().split())
    assert "for 10 seconds of training a seed; taken: column 's compiled'" in table


def test_table_of_a_hundred_steps_shows_ten(tmp_path, small_point):
    results = planned(tmp_path, "maml")
    results.prepare(["maml"])
    costs = dict.fromkeys(["env_steps", "seconds_per_seed", "peak_memory_mb"], 0)
    lines = "iteration,seed,seconds,env_steps,return_1\n0,0,1,8,0\n1,0,2,16,0\n"
    (tmp_path / "maml" / "metrics.csv").write_text(lines)
    scores = [float(step) for step in range(100)]
    bounds = {"interval_by_step": [[score, score] for score in scores]}
    results.record("maml", {"return_by_step": scores} | bounds | costs)
    heads, _, row = results.table().splitlines()
    assert heads.split(" | ")[1:11] == [str(step) for step in range(0, 100, 11)]
    shown = [float(cell.split()[0]) for cell in row.split(" | ")[1:11]]
    assert shown == scores[::11]


def test_seconds_of_an_iteration_are_those_of_a_seed_without_compiling(monkeypatch):
    """Chunks of 2 iterations of 4 seeds end after 50 s, and then after 8 s each."""
    from experiments import equal_seconds

    experiment = plan(Options("point", "maml", num_seeds=4))[1].planned["maml"]
    training = dataclasses.replace(experiment.training, iterations_per_chunk=2)
    problem = SimpleNamespace(initial_state=lambda _: None, train=lambda *_: range(9))
    clock = iter([50.0, 58.0, 66.0, 74.0])
    monkeypatch.setattr(equal_seconds, "build", lambda _: problem)
    monkeypatch.setattr(time, "monotonic", clock.__next__)
    experiment = dataclasses.replace(experiment, training=training)
    assert equal_seconds.seconds_per_iteration(experiment) == 1.0


def test_rows_at_equal_seconds_are_measured_once_and_go_on_after_one_that_fails(
    tmp_path, small_point, capsys
):
    """The first is too slow for an iteration, as was measured before."""
    options = Options("small_point", "maml", seconds=0.1, num_seeds=1, out=tmp_path)
    chosen, speeds = plan_speeds(options)
    speeds.prepare(chosen)
    row = {"seconds_per_iteration": 2.0, "device": device_kind()}
    speeds.record("maml", row)
    arguments = "--seconds=0.1", "--num-seeds=1", f"--out={tmp_path}"
    failed("small_point", "--rows=maml,multi_task", *arguments)
    errors = capsys.readouterr().err
    assert errors == "error: failed: maml; the same command tries again\n"
    options = Options(
        "small_point", "multi_task", seconds=0.1, num_seeds=1, out=tmp_path
    )
    for _, folder in (plan_speeds(options), plan(options)):
        assert folder.is_done("multi_task")  # and so the same command runs nothing
        folder.prepare(["multi_task"])
    trained = plan(options)[1].planned["multi_task"].training
    results = json.loads((tmp_path / "results.json").read_text())
    assert "below one iteration" in results["maml"]["failed"]
    assert results["multi_task"]["env_steps"] == trained.num_iterations * STEPS // 4
    assert len(results["multi_task"]["return_by_step"]) == 4
    assert "0.1 seconds of training a seed" in (tmp_path / "table.md").read_text()


@pytest.mark.parametrize(
    "name, num_episodes", [("point", 40), ("half_cheetah_velocity", 10)]
)
def test_pearl_believes_after_one_episode_a_step_and_others_after_the_base(
    name, num_episodes
):
    one_iteration = experiments.load_comparison(name).one_iteration
    tested = lambda row: one_iteration(row).evaluation.num_episodes
    assert (tested("pearl"), tested("maml")) == (1, num_episodes)


@pytest.mark.parametrize("name", experiments.COMPARISONS)
def test_rows_of_a_comparison_take_the_same_steps(name, monkeypatch):
    """A point stands for the half-cheetah: its steps are counted, not simulated."""
    from envs import point
    from envs.robots import half_cheetah
    from experiments.comparison import env_steps

    instead = lambda horizon, backend: point.make(horizon)
    monkeypatch.setattr(half_cheetah, "velocity", instead)
    comparison = experiments.load_comparison(name)
    for row in comparison.rows:
        experiment = experiments.load(f"{name}:{row}")
        trained = env_steps(experiment)
        if row == "from_scratch":
            assert trained == 0
        else:
            one_iteration = trained / experiment.training.num_iterations
            assert comparison.budget - one_iteration < trained <= comparison.budget


@pytest.mark.parametrize("name", experiments.COMPARISONS)
def test_minibatches_of_every_row_divide_its_tasks(name):
    comparison = experiments.load_comparison(name)
    for row in comparison.rows:
        experiment = comparison.one_iteration(row)
        outer = getattr(experiment.algorithm, "outer", None)
        num_minibatches = getattr(outer, "num_minibatches", 1)
        assert experiment.training.num_tasks % num_minibatches == 0, row
