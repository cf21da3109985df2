"""The benchmark: what it measures, saves, draws and compares."""

import contextlib
import csv
import dataclasses
import io
import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import commands
import jax
import numpy as np
import probe
import pytest

import experiments
from experiments import (
    benchmark,
    benchmark_compare,
    benchmark_parts,
    benchmark_plan,
    benchmark_report,
)
from experiments.benchmark_parts import Inputs
from experiments.benchmark_results import (
    Combination,
    Measurement,
    Results,
    Row,
    columns,
    load,
    ratios,
    save,
)
from experiments.experiment import build
from metarl_jax import training
from metarl_jax.statistics import ratio_interval

ROOT = Path(__file__).parents[1]
SMALL = [
    "--training.iterations-per-chunk=1",
    "--training.num-devices=1",
    "--algorithm.num-episodes=3",
    "--algorithm.num-adaptation-steps=1",
    "--algorithm.network.hidden-sizes=8",
    "--environment-options.horizon=10",
]
# E-MAML compares tasks: one task alone is refused, once the program is traced
ONE_FAILS = ["point:e_maml", "--tasks=1,2", "--repeats=2", *SMALL]
FOUR_TASKS = Combination("maml_point", 4, None, None, 1)
MEASUREMENT = Measurement(
    devices_in_use=2,
    tasks_at_once=1,
    env_steps=1000,
    seconds={"iteration": [0.1, 0.2, 0.25], "trials": [0.1, 0.1, 0.1]},
    trace_seconds=1.0,
    lower_seconds=0.5,
    compile_seconds=3.0,
    host_memory_mb=700.0,
    device_memory_mb=None,
    program_memory_mb=20.0,
    flops=10**6,
    traffic=10**5,
    large_products=1e8,
    own_products=5e7,
    memory=1e7,
)


def results(*rows, platform="cpu", **machine):
    machine = {"device": {"platform": platform}} | machine
    return Results(machine, {"maml_point": {"environment": "point"}}, list(rows))


def row(num_tasks=4, **changes):
    combination = dataclasses.replace(FOUR_TASKS, num_tasks=num_tasks)
    return Row(combination, dataclasses.replace(MEASUREMENT, **changes))


def start(*arguments):
    """The command, which Ctrl-C stops also where a shell's background job starts it."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "experiments.benchmark", *arguments],
            cwd=ROOT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        signal.signal(signal.SIGINT, handler)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmark")
    out = io.StringIO()
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with contextlib.redirect_stdout(out):
            commands.call(benchmark, *ONE_FAILS, f"--out={folder}")
    finally:
        signal.signal(signal.SIGTERM, handler)
    return folder, out.getvalue()


def test_failed_combination_is_recorded_and_the_rest_goes_on(finished):
    folder, out = finished
    failed, measured = load(folder / "benchmark.json").rows
    assert failed.measurement is None
    assert "num_tasks must be 2 or more" in failed.failure
    assert failed.failure in out
    assert measured.failure is None


def test_every_part_is_timed_as_often_as_asked(finished):
    measured = load(finished[0] / "benchmark.json").rows[1].measurement
    parts = {"iteration", "trials", "collect", "adapt", "gradient", "update"}
    assert measured.seconds.keys() == parts
    assert all(len(times) == 2 for times in measured.seconds.values())
    assert all(min(times) > 0 for times in measured.seconds.values())
    assert measured.env_steps == 2 * 2 * 10 * 3  # N (K+1) T E
    assert measured.device_memory_mb is None  # on a CPU
    assert measured.host_memory_mb > 100


def test_table_has_a_line_for_each_combination_and_a_figure_beside_it(finished):
    folder, _ = finished
    with (folder / "benchmark.csv").open() as file:
        failed, measured = csv.DictReader(file)
    assert failed["num_tasks"] == "1" and failed["env_steps_per_second"] == ""
    assert float(measured["env_steps_per_second"]) > 0
    assert (folder / "benchmark.png").stat().st_size > 1000


def test_results_compared_with_themselves_have_ratio_one(finished, capsys):
    path = str(finished[0] / "benchmark.json")
    benchmark_compare.main([path, path])
    said = capsys.readouterr().out
    assert "point:e_maml, 2 tasks, default at once, 1 devices, 1 seeds: 1.000" in said
    assert "may have other causes" not in said


def test_interrupt_keeps_what_was_measured(tmp_path):
    process = start(*ONE_FAILS, f"--out={tmp_path}")
    deadline = time.monotonic() + 300
    while not (tmp_path / "benchmark.json").exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert f"stopped: 1 of 2 rows are in {tmp_path}" in out
    assert len(load(tmp_path / "benchmark.json").rows) == 1


@pytest.mark.parametrize(
    "names, arguments, said",
    [
        ("maml_pont", [], "choose from maml_point"),
        ("maml_point,maml_point", [], "maml_point is named twice"),
        ("maml_point", ["--tasks=20,many"], "--tasks takes numbers like 1,2,4"),
        ("maml_point", ["--chunk-sizes=0"], "--chunk-sizes takes numbers"),
        ("maml_point", ["--repeats=0"], "--repeats must be 1 or more, not 0"),
        ("maml_point", ["--tasks=20,25", "--devices=2"], "2 devices do not divide 25"),
        ("maml_point", ["--environment=pont"], "point"),
        ("maml_point", ["--against=nowhere.json"], "nowhere.json"),
        (
            "maml_point,point:promp",
            ["--algorithm.outer.num-epochs=2"],
            "maml_point has no option --algorithm.outer.num-epochs",
        ),
        (
            "maml_point,maml_point_trpo",
            ["--algorithm.outer.learning-rate=0.1"],
            "maml_point_trpo has no option --algorithm.outer.learning-rate",
        ),
    ],
)
def test_what_cannot_be_measured_gets_one_line(names, arguments, said, capsys):
    with pytest.raises((ValueError, OSError, SystemExit)) as stop:
        benchmark_plan.prepare(names.split(","), arguments)
    message = f"{stop.value} {capsys.readouterr().err}".strip()
    assert said in message
    assert len(message.splitlines()) == 1


def test_every_combination_is_planned_once(tmp_path):
    axes = ["--tasks=4,8,4", "--chunk-sizes=1,2", "--devices=1,2", "--seeds=1,3"]
    names = ["maml_point", "point:promp"]
    plan = benchmark_plan.prepare(names, [*axes, f"--out={tmp_path}"])
    assert len(set(plan.combinations)) == len(plan.combinations) == 2 * 2 * 2 * 2 * 2
    assert Combination("point:promp", 8, 2, 1, 3) in plan.combinations


def test_folder_with_a_benchmark_is_not_overwritten(tmp_path):
    save(tmp_path, results(row()))
    with pytest.raises(ValueError, match="choose another --out"):
        benchmark_plan.prepare(["maml_point"], [f"--out={tmp_path}"])


def test_benchmarks_of_the_same_second_have_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    second = SimpleNamespace(now=lambda: datetime(2026, 11, 28, 9, 30, 15))
    monkeypatch.setattr(benchmark_plan, "datetime", second)
    first = Path("runs/benchmark_20261128-093015")
    folders = [benchmark_plan._new_folder(None) for _ in range(2)]
    assert folders == [first, first.with_name(f"{first.name}_2")]


def test_settings_of_the_experiment_hold_where_nothing_is_asked_for(tmp_path):
    options = ["--training.num-seeds=3", "--training.tasks-per-chunk=2", "--tasks=4"]
    plan = benchmark_plan.prepare(["maml_point"], [*options, f"--out={tmp_path}"])
    assert plan.combinations == [Combination("maml_point", 4, 2, None, 3)]
    experiment = plan.combinations[0].of(plan.experiments["maml_point"])
    assert experiment.training.num_tasks == 4
    assert experiment.training.num_seeds == 3


def test_saved_results_come_back_equal(tmp_path):
    before = results(row(), Row(FOUR_TASKS, None, "no memory"), cpu="fast")
    save(tmp_path, before)
    assert load(tmp_path / "benchmark.json") == before


@pytest.mark.parametrize("text", ["{", "[]", '{"rows": 3}', "{}"])
def test_file_of_something_else_is_refused(tmp_path, text):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="holds no results of this version"):
        load(path)


def test_columns_are_medians_with_their_spread_and_fractions_of_the_machine():
    found = columns(row())
    assert found["env_steps_per_second"] == 1000 / 0.2
    assert found["env_steps_per_second_min"] == 1000 / 0.25
    assert found["env_steps_per_second_max"] == 1000 / 0.1
    np.testing.assert_allclose(found["iteration_seconds_iqr"], 0.225 - 0.15)
    np.testing.assert_allclose(found["fraction_of_large_products"], 1e6 / 0.2 / 1e8)
    np.testing.assert_allclose(found["fraction_of_own_products"], 1e6 / 0.2 / 5e7)
    np.testing.assert_allclose(found["fraction_of_memory"], 1e5 / 0.2 / 1e7)


def test_fractions_are_unknown_where_the_work_is():
    found = columns(row(flops=None, traffic=None, own_products=None))
    assert found["fraction_of_large_products"] is None
    assert found["fraction_of_own_products"] is None
    assert found["fraction_of_memory"] is None


def test_roofline_is_set_by_the_slower_of_products_and_memory():
    # 1e6 / 1e8 and 1e5 / 1e7 are 0.01 s both
    np.testing.assert_allclose(row().measurement.roofline, 1000 / 0.01)
    slow_memory = dataclasses.replace(MEASUREMENT, memory=1e6)
    np.testing.assert_allclose(slow_memory.roofline, 1000 / 0.1)


def test_ratios_are_of_rows_that_both_results_measured():
    twice_as_fast = {"iteration": [0.05, 0.1, 0.125]}
    new = results(row(4, seconds=twice_as_fast), row(8))
    old = results(row(4), Row(dataclasses.replace(FOUR_TASKS, num_tasks=8), None, ""))
    (ratio,) = ratios(new, old)
    assert ratio.combination == FOUR_TASKS
    np.testing.assert_allclose(ratio.value, 2)
    assert ratio.low < 2 < ratio.high
    lines = benchmark_report.comparison(new, old, "old.json")
    assert "1 rows have no counterpart in old.json" in lines[-1]


def test_interval_of_a_ratio_has_no_width_without_noise():
    np.testing.assert_array_equal(ratio_interval([6.0, 6.0], [2.0] * 3), [3, 3])


def test_interval_of_a_ratio_covers_it_about_as_often_as_it_says():
    random = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        above, below = np.exp(random.normal(size=(2, 20)))
        low, high = ratio_interval(3 * above, below, num_resamples=300, seed=trial)
        covered += low <= 3 <= high
    assert 0.88 < covered / 200 < 0.995


def test_comparison_says_what_else_differs():
    new = results(row(), cpu="fast", packages={"jax": "2", "flax": "1"}, git="b")
    old = results(row(), cpu="slow", packages={"jax": "1", "flax": "1"}, git="a")
    old.experiments["maml_point"]["environment"] = "cartpole"
    lines = benchmark_report.comparison(new, old, "old.json")
    assert "may have other causes" in lines[1]
    assert lines[2:-2] == [
        "  cpu: fast, was slow",
        "  packages.jax: 2, was 1",
        "  maml_point.environment: point, was cartpole",
    ]


def test_comparison_of_two_commits_alone_has_no_other_cause():
    new, old = results(row(), git="b"), results(row(), git="a")
    of_few_repeats, _ = benchmark_report.comparison(new, old, "old.json")[1:]
    assert "less than 5 repeats" in of_few_repeats


def test_comparison_of_many_repeats_warns_of_nothing():
    many = results(row(seconds={"iteration": [1.0] * 5}))
    assert len(benchmark_report.comparison(many, many, "old.json")) == 2


def test_ideal_is_constant_on_a_cpu_and_proportional_up_to_the_roofline_elsewhere():
    rows = [row(4), row(8), row(1000)]
    (points,) = benchmark_report.curves(results(*rows)).values()
    assert [point.ideal for point in points] == [5000] * 3
    on_gpu = benchmark_report.curves(results(*rows, platform="gpu"))
    ideal = [point.ideal for point in on_gpu["maml_point"]]
    np.testing.assert_allclose(ideal, [5000, 10_000, 100_000])


def test_curves_are_named_by_what_differs_between_them():
    other = dataclasses.replace(FOUR_TASKS, num_devices=2)
    drawn = benchmark_report.curves(results(row(), Row(other, MEASUREMENT)))
    assert list(drawn) == ["maml_point, None devices", "maml_point, 2 devices"]


def small_experiment(name):
    experiment = experiments.load(name)
    small = {"num_adaptation_steps": 1, "num_episodes": 3}
    return dataclasses.replace(
        experiment,
        environment_options={"horizon": 5},
        algorithm=dataclasses.replace(experiment.algorithm, **small),
        training=training.TrainingConfig(num_tasks=2, num_devices=1),
    )


def test_parts_adapt_each_task_and_collect_with_what_it_adapted_to():
    experiment = small_experiment("maml_point")
    problem = build(experiment)
    state = training.initial_state(problem.algorithm, experiment.training)
    state = jax.tree.map(lambda leaf: leaf[0], state)

    def part(name, inputs):
        return jax.jit(getattr(benchmark_parts, name)(problem, experiment))(inputs)

    inputs = Inputs(state, part("trials", Inputs(state)))
    adapted = part("adapt", inputs)
    collected = part("collect", inputs._replace(adapted=adapted))
    assert collected.reward.shape == (2, 5, 3)  # N, T, E: one stage
    trial = jax.tree.map(lambda leaf: leaf[1, 0], inputs.trials)
    start = problem.algorithm.adaptation.init(state.train_state.params)
    update = jax.jit(problem.algorithm.adaptation.update)
    expected = update(start, trial).params
    of_second = jax.tree.map(lambda leaf: leaf[1], adapted)
    assert probe.relative_error(of_second, expected) < 1e-5


@pytest.mark.parametrize(
    "name, missing",
    [
        ("point:maml", set()),
        ("point:reptile", set()),
        ("point:from_scratch", {"gradient"}),
        ("point:es_maml", {"gradient", "adapt", "collect"}),
    ],
)
def test_parts_that_a_method_lacks_are_left_out(name, missing):
    experiment = small_experiment(name)
    problem = build(experiment)
    names = ("trials", "update", "gradient", "adapt", "collect")
    parts = {
        name: getattr(benchmark_parts, name)(problem, experiment) for name in names
    }
    assert {name for name, part in parts.items() if part is None} == missing


def test_json_holds_the_configuration_that_was_measured(finished):
    content = json.loads((finished[0] / "benchmark.json").read_text())
    algorithm = content["experiments"]["point:e_maml"]["algorithm"]
    assert algorithm["network"]["hidden_sizes"] == [8]
