"""Scores of agents over trials: what counts, what is chosen, how sure one can be."""

import jax.numpy as jnp
import numpy as np
import pytest

from experiments import reproduce_scores
from experiments.experiment import build
from experiments.reproduce_cells import bandit_cell
from experiments.reproduce_classical import ClassicalAgent
from experiments.reproduce_learners import experiment
from experiments.reproduce_scores import classical_score, learned_returns, summary
from metarl_jax.classical.agent import Agent


def test_all_pulls_of_all_stages_count():
    trained = experiment(bandit_cell(num_pulls=20, num_arms=2), "maml", "small")
    params = build(trained).initial_state(trained.training).train_state.params
    returns = learned_returns(trained, params, 500)
    assert returns.shape == (trained.training.num_seeds, 500, 10)
    assert returns[..., 0].mean() == pytest.approx(1.0, abs=0.1)
    assert set(np.unique(returns)) == {0.0, 1.0, 2.0}


def win_stay_lose_shift(setting):
    """With `setting` 1; with 0 an agent that never changes its arm of two."""

    def learn(key, memory, experience):
        lost = (experience.reward == 0) & (setting == 1)
        return jnp.where(lost, 1 - memory, memory)

    return Agent(jnp.int32(0), lambda key, memory, observation: memory, learn)


def test_better_setting_is_found():
    agent = ClassicalAgent(win_stay_lose_shift, (0.0, 1.0))
    score = classical_score(bandit_cell(20, 2), agent, 1000)
    assert score["setting"] == 1.0 == score["as_published"]["setting"]
    assert score["mean"] == score["mean_by_setting"]["1.0"] > 11
    assert score["mean_by_setting"]["0.0"] == pytest.approx(10.0, abs=0.6)


def test_setting_is_chosen_by_tuning_tasks_and_not_by_the_scored_ones(monkeypatch):
    means = {
        reproduce_scores._TUNING_SEED: [5.0, 3.0],  # of settings 0 and 1
        reproduce_scores._SCORED_SEED: [4.0, 6.0],
    }
    returns = lambda cell, agent, seed, num_trials: np.repeat(
        np.array(means[seed])[:, None], num_trials, axis=1
    )
    monkeypatch.setattr(reproduce_scores, "_classical_returns", returns)
    agent = ClassicalAgent(win_stay_lose_shift, (0.0, 1.0))
    score = classical_score(bandit_cell(20, 2), agent, 100)
    assert score["setting"] == 0.0 and score["mean"] == 4.0
    published = score["as_published"]
    assert published["setting"] == 1.0 and published["mean"] == 6.0


def test_interval_of_independent_trials_is_two_standard_errors():
    returns = np.random.default_rng(0).normal(5.0, 2.0, (1, 10_000))
    low, high = summary(returns)["interval"]
    assert (high - low) / 2 == pytest.approx(1.96 * 0.02, rel=0.1)


def test_interval_covers_what_differs_between_seeds():
    returns = np.repeat([[1.0], [2.0], [3.0]], 500, axis=1)
    low, high = summary(returns)["interval"]
    assert low < 1.5 and high > 2.5
