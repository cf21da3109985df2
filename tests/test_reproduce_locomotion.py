"""How agents on robots are scored, on a family that is cheap to simulate."""

import dataclasses

import numpy as np
import pytest

import experiments
from experiments import locomotion
from experiments.experiment import build
from experiments.locomotion import FAMILIES, Size
from experiments.reproduce_locomotion import adaptation_score, learning_curve
from metarl_jax.run_logs import MetricsLog

TINY = Size(num_tasks=2, num_episodes=4, num_iterations=3, num_seeds=2)


def on_points(agent):
    """An agent as for robots, on points in the plane and with short episodes."""
    on_robots = locomotion.experiment("half_cheetah_velocity", agent, TINY)
    return dataclasses.replace(
        on_robots, environment="point", environment_options={"horizon": 5}
    )


def score_of(agent, num_tasks=6):
    trained = on_points(agent)
    state = build(trained).initial_state(trained.training)
    return adaptation_score(trained, state.train_state.params, num_tasks)


def test_score_has_all_steps_seeds_and_tasks():
    score = score_of("maml")
    assert np.shape(score["returns"]) == (2, 6, 4)
    assert score["num_trials"] == 6 and score["num_seeds"] == 2
    means = np.mean(score["returns"], axis=(0, 1))
    np.testing.assert_allclose(means, score["return_by_step"], atol=0.01)


def test_steps_are_alike_in_training_and_those_of_anil_shorter_in_tests():
    maml, anil = (on_points(agent).algorithm for agent in ("maml", "anil"))
    assert maml.num_adaptation_steps == anil.num_adaptation_steps == 1
    (size,) = maml.inner_step_sizes
    assert anil.inner_step_sizes == pytest.approx((size, 0.2 * size))


def test_agents_are_scored_on_the_same_tasks():
    """A random policy hardly moves, so that the distance of the goal is what counts."""
    told, untold = score_of("oracle"), score_of("random")
    by_task = lambda score: np.mean(score["returns"], axis=0)[:, 0]
    assert np.corrcoef(by_task(told), by_task(untold))[0, 1] > 0.95
    assert np.shape(told["returns"]) == (2, 6, 1)


def test_learning_curve_is_of_the_first_and_the_last_stage(tmp_path):
    num_iterations = 250
    returns = np.stack([np.arange(num_iterations), -np.arange(num_iterations)], -1)
    log = MetricsLog(tmp_path)
    log.write(
        np.arange(num_iterations),
        np.zeros(()),
        10 * np.arange(num_iterations),
        {"return": np.repeat(returns[:, None], 2, axis=1)},
    )
    curve = learning_curve(tmp_path)
    assert len(curve["env_steps"]) == 100 and np.shape(curve["after"]) == (2, 100)
    assert curve["env_steps"][0] == 0 and curve["env_steps"][-1] == 2490
    assert curve["before"][0][-1] == 249 and curve["after"][1][-1] == -249


@pytest.mark.parametrize("family", FAMILIES)
def test_experiments_of_all_families_are_alike(family):
    trained = experiments.load(f"maml_{family}")
    of_first = experiments.load(f"maml_{next(iter(FAMILIES))}")
    assert trained.environment == family
    assert trained.algorithm == of_first.algorithm
    assert trained.training == of_first.training
