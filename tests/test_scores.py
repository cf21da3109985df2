"""Scores of agents over many trials, against a loop over single trials."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments import spaces

from metarl_jax.classical.agent import Agent, play
from metarl_jax.classical.scores import trial_returns

KEY = jax.random.key(3)


class LotteryState(NamedTuple):
    time: jax.Array


class Lottery:
    """Pays task * action plus noise; two steps an episode."""

    horizon = 2
    observation_space = spaces.Box(1.0, 1.0, (1,))
    action_space = spaces.Discrete(10)

    def reset(self, key, task):
        return jnp.ones(1), LotteryState(jnp.int32(0))

    def step(self, key, state, action, task):
        reward = task * action + jax.random.normal(key)
        state = LotteryState(state.time + 1)
        truncated = state.time >= self.horizon
        return jnp.ones(1), state, reward, jnp.bool_(False), truncated, {}


def sample_task(key):
    return jax.random.uniform(key)


def counter(setting):
    """Plays `setting` plus the number of steps it has lived."""
    return Agent(
        initial_memory=setting,
        act=lambda key, memory, observation: memory,
        learn=lambda key, memory, experience: memory + 1,
    )


def returns(settings, num_trials, **options):
    options = {"num_episodes": 2} | options
    return trial_returns(
        KEY, Lottery(), sample_task, counter, settings, num_trials, **options
    )


def test_returns_are_those_of_single_trials():
    found = returns(jnp.array([0.0, 5.0]), 5, trials_per_chunk=5)
    for trial, key in enumerate(jax.random.split(KEY, 5)):
        task_key, play_key = jax.random.split(key)
        for row, setting in enumerate((0.0, 5.0)):
            task = sample_task(task_key)
            rewards = play(play_key, Lottery(), counter(setting), task, 2)
            np.testing.assert_allclose(found[row, trial], rewards.sum(), rtol=1e-5)


def test_settings_meet_the_same_tasks_and_the_same_chance():
    """Four steps with an action higher by 5 pay 20 times the task more."""
    low, high = returns(jnp.array([0.0, 5.0]), 7)
    tasks = (high - low) / 20
    assert ((tasks > 0) & (tasks < 1)).all()
    assert len(np.unique(tasks.round(4))) == 7


def test_number_of_trials_need_not_be_a_multiple_of_the_chunk():
    assert returns(jnp.zeros(3), 7, trials_per_chunk=3).shape == (3, 7)


def test_trials_of_different_chunks_differ():
    found = returns(jnp.zeros(1), 9, trials_per_chunk=3)[0]
    assert len(np.unique(found)) == 9


def test_one_program_serves_all_settings_and_chunks():
    traced = []

    def make_agent(setting):
        traced.append(setting)
        return counter(setting)

    settings = jnp.arange(4.0)
    trial_returns(KEY, Lottery(), sample_task, make_agent, settings, 7, 1, 2)
    assert len(traced) == 2  # once for the initial memory, once for the trials


@pytest.mark.parametrize("option", ["num_trials", "trials_per_chunk"])
def test_no_trials_are_refused(option):
    options = {"num_trials": 3, "trials_per_chunk": 3, option: 0}
    with pytest.raises(ValueError, match=f"{option} must be at least 1, not 0"):
        returns(jnp.zeros(1), **options)
