"""What a run was: every kind of configuration comes back from its file."""

import dataclasses
import json
from datetime import datetime
from functools import partial
from types import SimpleNamespace

import jax.numpy as jnp
import pytest

import experiments
from experiments import run, trainer
from experiments.evaluator import evaluate
from experiments.experiment import oracle_of
from experiments.row_folder import RowFolder
from experiments.row_results import train_and_measure
from experiments.run_directory import RunDirectory, document
from experiments.trainer import check_resumable, check_unchanged
from metarl_jax.algorithms import (
    ALGORITHMS,
    Rl2Config,
    TaskEmbeddingConfig,
    VaribadConfig,
)
from metarl_jax.checkpoints import Checkpoints
from metarl_jax.conditioning import Concatenation, Film, Hypernetwork
from metarl_jax.embedding_sources import LearnedTable, TrueTask
from metarl_jax.exploration_bonus import ExplorationBonusConfig
from metarl_jax.networks import NetworkConfig
from metarl_jax.reward_likelihoods import SquaredError, TwoValued
from metarl_jax.sequence_models import LstmConfig
from metarl_jax.tabular_memory import Tabular
from metarl_jax.training import TrainingConfig
from metarl_jax.trial_autoencoder import AutoencoderConfig
from metarl_jax.trial_decoder import DecoderConfig
from metarl_jax.trial_optimizers import TrialTrustRegionConfig


def varibad(likelihood):
    decoder = DecoderConfig(likelihood=likelihood)
    autoencoder = AutoencoderConfig(decoder=decoder, memory=LstmConfig(7))
    return VaribadConfig(3, autoencoder=autoencoder, outer=TrialTrustRegionConfig())


CONFIGS = [
    *(kind() for kind in ALGORITHMS),
    varibad(SquaredError(3.0)),
    varibad(TwoValued(-0.1, 1.0)),
    VaribadConfig(bonus=ExplorationBonusConfig()),
    *(TaskEmbeddingConfig(embedding=kind) for kind in (TrueTask(), LearnedTable(3))),
    *(
        make(conditioning=kind)
        for make in (TaskEmbeddingConfig, partial(Rl2Config, head=NetworkConfig((4,))))
        for kind in (Concatenation(), Film(), Hypernetwork())
    ),
    Rl2Config(conditioning=Tabular(), head=NetworkConfig((4,))),
]


@pytest.mark.parametrize("name", experiments.EXPERIMENTS)
def test_experiment_comes_back_as_it_was(tmp_path, name):
    experiment = experiments.load(name)
    RunDirectory(tmp_path).create(name, experiment)
    assert RunDirectory(tmp_path).load() == (name, experiment)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: type(config).__name__)
def test_configuration_of_an_algorithm_comes_back_as_it_was(tmp_path, config):
    experiment = experiments.load("maml_point")
    evaluation = dataclasses.replace(
        experiment.evaluation, num_adaptation_steps=config.num_adaptation_steps
    )
    saved = dataclasses.replace(
        experiment, algorithm=config, evaluation=evaluation, oracle_iterations=0
    )
    RunDirectory(tmp_path).create("saved", saved)
    assert RunDirectory(tmp_path).load() == ("saved", saved)


def test_runs_of_the_same_second_have_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    second = SimpleNamespace(now=lambda: datetime(2026, 11, 28, 9, 30, 15))
    monkeypatch.setattr(run, "datetime", second)
    folders = [run._new_folder("point:maml") for _ in range(3)]
    first = "runs/point_maml_20261128-093015"
    assert list(map(str, folders)) == [first, f"{first}_2", f"{first}_3"]
    assert all(folder.is_dir() for folder in folders)


@pytest.mark.parametrize("left", ["checkpoints", "oracle"])
def test_what_is_left_of_a_run_is_not_gone_on_with_as_a_new_one(tmp_path, left):
    (tmp_path / "row" / left).mkdir(parents=True)
    point = experiments.load("maml_point")
    said = f"{left} is of a run whose config.json is gone: put that back, or choose"
    with pytest.raises(ValueError, match=said):
        RunDirectory(tmp_path / "row").create("row", point)
    with pytest.raises(ValueError, match=said):
        RowFolder(tmp_path, {"row": point}).prepare(["row"])


@pytest.mark.parametrize("damaged", ["", "{", "[1]", "{}", '"name"'])
def test_damaged_configuration_is_named(tmp_path, damaged):
    directory = RunDirectory(tmp_path / "row")
    point = experiments.load("maml_point")
    directory.create("row", point)
    directory.config.write_text(damaged)
    for read in (
        directory.load,
        partial(RowFolder(tmp_path, {"row": point}).prepare, ["row"]),
    ):
        with pytest.raises(
            ValueError, match="config.json is damaged .*: put a copy of"
        ):
            read()


@pytest.mark.parametrize(
    "change",
    [
        {"algorithm": {}},
        {"algorithm": {"kind": "MamlConfig", "outer": 3}},
        {"algorithm": {"kind": "Malm"}},
        {"training": None},
        {"training": {"num_tasks": 0}},
        {"evaluation": [1]},
        {"published": 3},
        {"new": 3},
    ],
)
def test_configuration_of_another_version_is_named(tmp_path, change):
    directory = RunDirectory(tmp_path)
    directory.create("point", experiments.load("maml_point"))
    directory.config.write_text(json.dumps(directory.stored() | change))
    with pytest.raises(ValueError, match="config.json does not fit this version: .+"):
        directory.load()


CHANGES = {
    "environment": {"environment": "cartpole"},
    "environment_options": {"environment_options": {"horizon": 50}},
    "observe_task": {"observe_task": True},
    "num_training_tasks": {"num_training_tasks": 10},
    "training.seed": {"training": TrainingConfig(seed=1)},
    "training.num_seeds": {"training": TrainingConfig(num_seeds=2)},
}


def changed(field):
    experiment = dataclasses.replace(
        experiments.load("maml_point"), training=TrainingConfig()
    )
    return experiment, dataclasses.replace(experiment, **CHANGES[field])


@pytest.mark.parametrize("field", CHANGES)
def test_run_does_not_go_on_with_another_problem(tmp_path, field):
    saved, wanted = changed(field)
    directory = RunDirectory(tmp_path)
    directory.create("point", saved)
    check_resumable(directory, saved)
    said = f"was run with {field} .*, not .*: leave that as it was, or start another"
    with pytest.raises(ValueError, match=said):
        check_resumable(directory, wanted)


def test_row_does_not_go_on_from_a_checkpoint_of_other_settings(tmp_path):
    directory, experiment = RunDirectory(tmp_path), experiments.load("maml_point")
    outer = dataclasses.replace(experiment.algorithm.outer, learning_rate=0.5)
    algorithm = dataclasses.replace(experiment.algorithm, outer=outer)
    other = dataclasses.replace(experiment, algorithm=algorithm)
    check_unchanged(directory, "row", other)
    config = document("row", experiment)
    Checkpoints(directory.checkpoints).save(1, {"x": jnp.zeros(2)}, config)
    check_unchanged(directory, "row", experiment)
    with pytest.raises(ValueError, match="a checkpoint of other settings: remove"):
        train_and_measure(directory, "row", other)


@pytest.mark.parametrize("field", ["environment_options", "training.seed"])
def test_oracle_of_another_problem_is_not_shown(tmp_path, field):
    wrong, tested = changed(field)
    directory = RunDirectory(tmp_path)
    directory.create("point", tested)
    directory.oracle.create("point", oracle_of(wrong))
    said = f"oracle was run with {field} .*: remove .*oracle, and it is trained anew"
    with pytest.raises(ValueError, match=said):
        evaluate(directory, "point", tested)
    directory.oracle.record("point", oracle_of(tested))
    with pytest.raises(FileNotFoundError, match="no checkpoint"):  # of the run itself
        evaluate(directory, "point", tested)


def test_run_goes_on_with_other_numbers_but_not_backwards(tmp_path, monkeypatch):
    """Settings of its length, of the test and of learning may change."""
    experiment = experiments.load("maml_point")
    directory = RunDirectory(tmp_path)
    directory.create("maml_point", experiment)
    (directory.checkpoints / "103").mkdir(parents=True)
    monkeypatch.setattr(trainer, "restore", lambda *_: None)
    options = [
        *("--num-iterations=103", "--decay-iterations=103", "--tasks-per-chunk=20"),
        *("--iterations-per-chunk=1", "--training.num-tasks=20", "--task-set=ood"),
        *("--algorithm.num-episodes=10", "--oracle-iterations=0", "--num-devices=1"),
    ]
    arguments = ["maml_point", f"--resume={tmp_path}", *options]
    _, _, resumed = run._prepare(arguments[0], arguments[1:])
    assert directory.load() == ("maml_point", resumed)
    assert resumed.training.num_iterations == 103
    with pytest.raises(ValueError, match="done 103 iterations: .* 103 or more, not 5"):
        run._prepare("maml_point", [f"--resume={tmp_path}", "--num-iterations=5"])
    assert directory.load()[1] == resumed


def test_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    inside = tmp_path / "file" / "run"
    with pytest.raises(OSError, match=f"cannot write into {inside}: .*; choose ano"):
        RunDirectory(inside).create("point", experiments.load("maml_point"))
