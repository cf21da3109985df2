"""What a run was: every kind of configuration comes back from its file."""

import dataclasses
from functools import partial

import pytest

import experiments
from experiments.run_directory import RunDirectory
from metarl_jax.algorithms import (
    ALGORITHMS,
    Rl2Config,
    TaskEmbeddingConfig,
    VaribadConfig,
)
from metarl_jax.conditioning import Concatenation, Film, Hypernetwork
from metarl_jax.embedding_sources import LearnedTable, TrueTask
from metarl_jax.exploration_bonus import ExplorationBonusConfig
from metarl_jax.networks import NetworkConfig
from metarl_jax.reward_likelihoods import SquaredError, TwoValued
from metarl_jax.sequence_models import LstmConfig
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
