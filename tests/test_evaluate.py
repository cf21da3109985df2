"""What the evaluation command makes of its options, and what it writes."""

import dataclasses
import json
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import commands
import jax
import jax.numpy as jnp
import numpy as np
import probe
import pytest

import experiments
from experiments import (
    analyse,
    beliefs,
    cli,
    depth,
    evaluate,
    evaluator,
    formulations,
    gradient_quality,
    watch,
)
from experiments.evaluate import Options, as_tested
from experiments.evaluator import print_summary
from experiments.experiment import at_test_time, build
from experiments.run_directory import RunDirectory, changed_settings
from metarl_jax.evaluation import (
    AdaptationCurve,
    EvaluationConfig,
    adaptation_curve,
)
from metarl_jax.task_axis import TaskAxis
from metarl_jax.training import TrainingConfig
from metarl_jax.types import MetaAlgorithm

PEARL = experiments.load("pearl_point_half_circle")


def with_settings(*settings):
    return as_tested(PEARL, Options(Path("run"), algorithm=settings))


def test_settings_change_the_algorithm_and_nothing_else():
    mean = dataclasses.replace(PEARL.algorithm, embedding="mean", discount=0.5)
    expected = dataclasses.replace(PEARL, algorithm=mean)
    assert with_settings("embedding=mean", "discount = 0.5") == expected


def test_settings_that_differ_from_training_are_told():
    tested = with_settings("context_inputs=observation reward", "discount=0.5")
    expected = {"context_inputs": ["observation", "reward"], "discount": 0.5}
    told = changed_settings(PEARL, tested)
    assert json.loads(json.dumps(told)) == expected
    assert changed_settings(PEARL, with_settings()) == {}


def test_oracle_that_is_no_better_than_random_gives_no_score(capsys):
    curve = {"return_by_step": [1.0], "interval_by_step": [(0.0, 2.0)]}
    weak = {"oracle_return": 1.0, "normalized_score_by_step": [float("nan")]}
    print_summary(curve | weak | {"random_return_by_step": [1.0]})
    assert "oracle 1.00; oracle-normalised: no better than random" in (
        capsys.readouterr().out
    )


def test_curves_of_one_algorithm_are_traced_once():
    count = 0

    def adapt(key, params, task):
        nonlocal count
        count += 1
        trial = jax.tree.map(lambda leaf: leaf[None], probe.rollout([1.0]))
        return trial._replace(reward=params * trial.reward)

    learner = MetaAlgorithm(init=None, adapt=adapt, update=None)
    key, tasks = jax.random.key(0), jnp.zeros(3)
    for params in (2.0, 3.0):
        seeds = jnp.full(2, params)
        curve = adaptation_curve(key, learner, seeds, tasks, TaskAxis())
        np.testing.assert_array_equal(curve.returns, np.full((2, 3, 1), params))
    assert count == 1


def test_value_of_several_words_has_spaces_between():
    changed = with_settings("context_inputs=observation reward").algorithm
    assert changed.context_inputs == ("observation", "reward")


def test_without_settings_the_experiment_is_as_it_was_run():
    assert with_settings() == PEARL


@pytest.mark.parametrize(
    "setting, said",
    [
        ("embeding=mean", "has no option --algorithm.embeding; did you mean"),
        ("embedding=best", "mean"),
        ("context_size=0", "context_size must be above 0"),
    ],
)
def test_wrong_setting_gets_one_line(capsys, setting, said):
    with pytest.raises(SystemExit):
        with_settings(setting)
    errors = capsys.readouterr().err
    assert said in errors
    assert len(errors.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "make",
    [
        *(EvaluationConfig, TrainingConfig),
        *(partial(each.Options, Path("run")) for each in (analyse, beliefs, watch)),
        lambda seed: formulations.checked(formulations.Options(seed=seed)),
        lambda seed: gradient_quality.checked(gradient_quality.Options(seed=seed)),
    ],
)
def test_seed_that_makes_no_key_is_refused(make):
    for seed, said in ((-1, "0 or more, not -1"), (2**31, "below 2\\*\\*31")):
        with pytest.raises(ValueError, match=said):
            make(seed=seed)
    make(seed=2**31 - 1)


@pytest.mark.parametrize(
    "module, name",
    [
        *((evaluate, "maml_point"), (analyse, "maml_point")),
        *((beliefs, "varibad_grid_navi"), (watch, "maml_half_cheetah_velocity")),
        *((depth, None), (formulations, None), (gradient_quality, None)),
    ],
)
def test_folder_that_cannot_be_written_is_refused_first(tmp_path, module, name, capsys):
    """Before the run, of which nothing is saved, is found to hold nothing."""
    run, out = tmp_path / "run", tmp_path / "file" / "out"
    (tmp_path / "file").touch()
    if name:
        RunDirectory(run).create(name, experiments.load(name))
    with pytest.raises(SystemExit):
        commands.call(module, *([run] if name else []), f"--out={out}")
    said, errors = capsys.readouterr()
    mend = "Not a directory; choose another folder"
    assert (said, errors) == ("", f"error: cannot write into {out}: {mend}\n")


def test_setting_without_a_value_is_refused():
    with pytest.raises(ValueError, match="takes field=value, not 'embedding'"):
        with_settings("embedding")


@pytest.mark.parametrize("field", ["num_adaptation_steps", "num-episodes"])
def test_setting_that_the_evaluation_has_is_refused(field):
    option = f"--{field.replace('_', '-')} 5"
    with pytest.raises(ValueError, match=f"{field} of a test is set by {option}"):
        with_settings(f"{field}=5")


@pytest.mark.parametrize("num_arms", [6, 7])
def test_returns_are_drawn_by_task_where_few_numbers_make_one(
    monkeypatch, tmp_path, num_arms
):
    maml = experiments.load("maml_bernoulli_bandit")
    options = {"num_arms": num_arms, "horizon": 10}
    bandit = dataclasses.replace(maml, environment_options=options)
    start = build(bandit).initial_state(bandit.training)
    curves = [AdaptationCurve(np.zeros((1, bandit.evaluation.num_tasks, 4)))] * 2
    monkeypatch.setattr(evaluator, "restore", lambda *_: start)
    monkeypatch.setattr(evaluator, "_curves", lambda *_: (curves, None))
    evaluator.evaluate(RunDirectory(tmp_path), "bandit", bandit)
    tasks = json.loads((tmp_path / "tasks.json").read_text())
    assert np.shape(list(tasks.values())) == (num_arms, bandit.evaluation.num_tasks)
    assert (tmp_path / "returns_by_task.png").exists() == (num_arms == 6)


@pytest.mark.parametrize(
    "name, options, drawn",
    [
        ("maml_point", (), True),
        ("maml_point", ("--algorithm.num-episodes=10", "--num-iterations=7"), True),
        ("maml_point", ("--task-set=ood",), False),
        ("maml_point", ("--environment=cartpole",), False),
        ("maml_point", ("--horizon=50",), False),
        ("horizon=50", (), False),  # a point of a sweep
    ],
)
def test_published_returns_are_drawn_beside_those_of_the_same_tasks(
    name, options, drawn, monkeypatch
):
    experiment = experiments.load("maml_point")
    tested = cli.parse(type(experiment), "program name", options, default=experiment)
    figure, references = Mock(), []
    monkeypatch.setattr(
        evaluator.plots,
        "adaptation_curve",
        lambda _, others: references.extend(others) or figure,
    )
    summary = {"experiment": name, "random_return_by_step": [0.0]}
    evaluator._draw_adaptation(RunDirectory(Path("run")), tested, summary)
    published = list(experiment.published) if drawn else []
    assert references == ["random initialisation", *published]
    figure.savefig.assert_called_once()


def test_paths_are_those_of_the_trials_that_are_scored(tmp_path, monkeypatch):
    """And those of the first candidate and seed are drawn."""
    maml = experiments.load("maml_point")
    trial = dataclasses.replace(maml.evaluation, num_adaptation_steps=1, num_episodes=2)
    point = dataclasses.replace(
        maml, environment_options={"horizon": 5}, evaluation=trial
    )
    problem = build(at_test_time(point))
    tasks = problem.tasks.fixed["finn2017"]()[:6]
    state = lambda seed: problem.initial_state(
        dataclasses.replace(point.training, seed=seed, num_seeds=2)
    )
    candidates = [state(seed).train_state.params for seed in (0, 2)]
    curves, paths = evaluator._curves(point, problem, tasks, *candidates)
    together = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *candidates)
    whole = problem.returns_program(tasks, lambda trial: trial)
    trials = whole(jax.random.key(trial.seed), together)
    np.testing.assert_array_equal(paths.observation, trials.observation)
    returns = np.concatenate([curve.returns for curve in curves])
    scores = trials.reward.sum(axis=3).mean(axis=-1)
    np.testing.assert_allclose(returns, scores, rtol=1e-5)

    drawn, draw = [], evaluator.plots.trajectories
    noted = lambda *arguments: drawn.append(arguments) or draw(*arguments)
    monkeypatch.setattr(evaluator.plots, "trajectories", noted)
    evaluator._draw_trajectories(RunDirectory(tmp_path), paths, tasks)
    ((observation, length, goals),) = drawn
    np.testing.assert_array_equal(observation, trials.observation[0, :4])
    np.testing.assert_array_equal(length, np.full((4, 2, 2), 5))
    np.testing.assert_array_equal(goals, tasks[:4])
