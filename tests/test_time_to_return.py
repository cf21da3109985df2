"""Seconds until a return is reached: what is counted, and who gets there."""

import csv
import dataclasses
import json
import time

import commands
import jax
import numpy as np
import pytest
from small_comparison import STEPS

import experiments.time_to_return
from experiments.experiment import at_test_time, build
from experiments.time_to_return import Options, plan
from experiments.timed_training import marks
from metarl_jax import evaluation


@pytest.fixture(autouse=True)
def small_point(monkeypatch):
    monkeypatch.setitem(experiments.COMPARISONS, "small_point", "small_comparison")


def aim_at(target, out, **environment):
    """Measures one row, for two iterations at most."""
    arguments = (
        *("small_point", "--rows=reptile", f"--budget={2 * STEPS}"),
        *("--iterations-per-evaluation=1", f"--target={target}", f"--out={out}"),
    )
    environment |= {"JAX_NUM_CPU_DEVICES": "1"}
    commands.call(experiments.time_to_return, *arguments, **environment)


def results(out):
    return json.loads((out / "results.json").read_text())


def test_target_that_is_reached_at_once_ends_the_row_at_its_first_test(tmp_path):
    start = time.time()
    aim_at(-1000, tmp_path, XDG_CACHE_HOME=str(tmp_path))
    row = results(tmp_path)["reptile_0"]
    assert row["reached"]
    assert row["env_steps"] == STEPS
    parts = row["training_seconds"], row["evaluation_seconds"]
    assert min(parts) > 0.1  # both have compiled
    assert sum(parts) < row["seconds"] < time.time() - start
    with (tmp_path / "reptile_0" / "curve.csv").open() as file:
        (line,) = csv.DictReader(file)
    assert float(line["score"]) == row["score"] > -1000
    assert not (tmp_path / "metarl_jax").exists()  # no program was kept
    assert (tmp_path / "return.png").stat().st_size > 100


def test_target_that_is_not_reached_is_given_up_at_the_budget(tmp_path, capsys):
    aim_at(0, tmp_path)
    said = capsys.readouterr().out
    assert "| reptile_0 | not within 0.01 M steps |" in said
    row = results(tmp_path)["reptile_0"]
    assert not row["reached"]
    assert (row["iterations"], row["env_steps"]) == (2, 2 * STEPS)
    assert "row 1" in said
    aim_at(0, tmp_path)
    assert results(tmp_path)["reptile_0"] == row
    assert "row 1" not in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        aim_at(-1, tmp_path)
    assert ended.value.code == 2
    errors = capsys.readouterr().err
    assert errors.startswith(f"error: {tmp_path} holds times to a return of 0.0")
    assert len(errors.splitlines()) == 1


def test_score_is_the_held_out_return_of_plain_training():
    experiment = experiments.load("point:reptile")
    experiment = dataclasses.replace(
        experiment,
        environment_options={"horizon": 5},
        algorithm=dataclasses.replace(experiment.algorithm, num_episodes=2),
        training=dataclasses.replace(
            experiment.training,
            num_iterations=2,
            iterations_per_chunk=1,
            num_tasks=2,
            num_devices=1,
        ),
        evaluation=dataclasses.replace(
            experiment.evaluation, num_adaptation_steps=1, num_episodes=2
        ),
    )
    measured = list(marks(experiment, time.time()))
    assert [mark.iterations for mark in measured] == [1, 2]
    problem, test = build(experiment), build(at_test_time(experiment))
    state = problem.initial_state(experiment.training)
    *_, (state, _) = problem.train(experiment.training, state)
    curve = evaluation.adaptation_curve(
        jax.random.key(experiment.evaluation.seed),
        test.algorithm,
        state.train_state.params,
        evaluation.held_out_tasks(test.tasks, experiment.evaluation),
        problem.axis,
    )
    expected = np.mean(curve.returns[..., 1])
    assert measured[-1].score == pytest.approx(expected, rel=1e-4)


def test_seeds_are_rows_of_their_own():
    planned = plan(Options(rows="maml", num_seeds=2)).planned
    assert {name: row.training.seed for name, row in planned.items()} == {
        "maml_0": 0,
        "maml_1": 1,
    }


@pytest.fixture(scope="module")
def planned():
    """What is measured by default."""
    return plan(Options()).planned


def test_every_row_that_learns_to_adapt_is_measured(planned):
    assert {"maml_0", "maml_trpo_0", "maml_ppo_0", "promp_0", "reptile_0"} <= set(
        planned
    )
    assert not {"oracle_0", "from_scratch_0"} & set(planned)
    assert {row.evaluation.num_adaptation_steps for row in planned.values()} == {1}
    assert {row.evaluation.task_set for row in planned.values()} == {"finn2017"}


@pytest.mark.parametrize(
    "options, said",
    [
        ({"comparison": "pont"}, "no comparison 'pont'; choose from point"),
        ({"rows": "mamml"}, "no row 'mamml'; choose from maml"),
        ({"rows": "oracle"}, "'oracle' does not learn to adapt; choose from maml"),
        ({"budget": 10}, "a budget of 10 steps is below one iteration"),
        ({"step": -1}, "num_adaptation_steps must be 0 or more, not -1"),
        ({"num_seeds": 0}, "--num-seeds must be 1 or more, not 0"),
        ({"iterations_per_evaluation": 0}, "must be 1 or more, not 0"),
    ],
)
def test_wrong_option_is_refused_before_anything_runs(options, said):
    with pytest.raises(ValueError, match=said):
        plan(Options(**options))


def test_rows_that_are_tested_as_they_were_trained_only_are_left_out_by_default(
    planned,
):
    assert "maml_0" in planned and "rl2_0" not in planned
    with pytest.raises(ValueError, match="tested on trials as long as those of train"):
        plan(Options("point", step=1, rows="rl2"))
