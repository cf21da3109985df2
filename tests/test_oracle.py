"""The oracle beside a run learns by an outer loop as strong as that of the run."""

import dataclasses

import pytest

import experiments
from experiments import locomotion
from experiments.experiment import oracle_of
from metarl_jax.algorithms import TaskEmbeddingConfig
from metarl_jax.optimizers import AdamConfig
from metarl_jax.trial_optimizers import TrialTrustRegionConfig
from metarl_jax.trust_region import TrustRegionConfig


def outer_of_oracle(name, **changes):
    algorithm = dataclasses.replace(experiments.load(name).algorithm, **changes)
    experiment = dataclasses.replace(experiments.load(name), algorithm=algorithm)
    return oracle_of(experiment).algorithm.outer


@pytest.mark.parametrize("agent", ["maml", "anil"])
def test_oracle_of_a_robot_is_that_of_the_table_of_robots(agent):
    trained = experiments.load(f"{agent}_half_cheetah_velocity")
    expected = locomotion.experiment(trained.environment, "oracle", locomotion.FOR_CPU)
    oracle = oracle_of(trained)
    assert oracle.algorithm.outer == expected.algorithm.outer
    assert oracle.algorithm.outer.decay_iterations == 1200
    assert oracle.algorithm.outer_advantage == expected.algorithm.outer_advantage
    assert oracle.training.num_iterations == expected.training.num_iterations


def test_oracle_takes_a_trust_region_over():
    outer = TrustRegionConfig(max_kl=0.02)
    assert outer_of_oracle("maml_point", outer=outer) == outer


def test_oracle_beside_adam_has_a_rate_of_its_own():
    assert outer_of_oracle("maml_point") == AdamConfig(3e-3)


def test_oracle_cannot_learn_by_a_loop_over_whole_trials():
    algorithm = TaskEmbeddingConfig(outer=TrialTrustRegionConfig())
    maml = experiments.load("maml_point")
    embedded = dataclasses.replace(maml, algorithm=algorithm)
    assert oracle_of(embedded).algorithm.outer == AdamConfig(3e-3)
