"""Bonuses for exploring: they reward what is new, and end."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import probe
import pytest

from metarl_jax.exploration_bonus import (
    ExplorationBonusConfig,
    exploration_bonus,
    no_bonus,
)
from metarl_jax.task_axis import TaskAxis

SHAPE = (2, 2, 3, 1)  # [N, K+1, T, E]
CONFIG = ExplorationBonusConfig(
    anneal_iterations=4,
    hidden_sizes=(16,),
    num_outputs=4,
    learning_rate=1e-2,
    num_minibatches=2,
)
NOVELTY = {"surprise_weight": 0.0}
SURPRISE = {"novelty_weight": 0.0}
STATES = jax.random.normal(jax.random.key(1), (*SHAPE, 3))
SURPRISES = jnp.abs(jax.random.normal(jax.random.key(2), SHAPE))


@cache
def built(**options):
    config = ExplorationBonusConfig(**vars(CONFIG) | options)
    bonus = exploration_bonus(config, 3, 1.0, TaskAxis())
    return probe.quick_jit(bonus.init)(jax.random.key(0)), probe.quick_jit(bonus.update)


def rewards_over_time(num_iterations, states=STATES, surprise=SURPRISES, **options):
    """The bonuses [N, K+1, T, E] of each iteration on the same data, and the state."""
    state, update = built(**options)
    found = []
    for key in jax.random.split(jax.random.key(3), num_iterations):
        reward, state, _ = update(key, state, states, surprise)
        found.append(np.asarray(reward))
    return found, state


def test_bonus_falls_linearly_to_zero():
    """Of surprise, whose scale stays where the data does."""
    rewards, _ = rewards_over_time(6, **SURPRISE)
    for iteration, left in enumerate([1.0, 0.75, 0.5, 0.25, 0.0, 0.0]):
        np.testing.assert_allclose(rewards[iteration], left * rewards[0], rtol=1e-5)
    assert np.all(rewards[0] > 0)


def test_surprise_is_paid_in_standard_deviations_of_its_return():
    (reward,), _ = rewards_over_time(1, **SURPRISE)
    lives = np.asarray(SURPRISES).reshape(2, 6)
    returns = np.cumsum(lives[:, ::-1], axis=1)
    expected = np.asarray(SURPRISES) / returns.std()
    np.testing.assert_allclose(reward, expected, rtol=1e-4)


def test_novelty_is_paid_for_the_step_that_led_there_and_never_for_the_last():
    (reward,), _ = rewards_over_time(1, **NOVELTY)
    (shifted,), _ = rewards_over_time(1, STATES.at[:, 0, 0].add(3.0), **NOVELTY)
    reward, shifted = (each.reshape(2, 6) for each in (reward, shifted))
    np.testing.assert_array_equal(reward[:, -1], np.zeros(2))
    # the first step of a life is led to by none; the scale is that of all lives
    scale = reward[:, :-1] / shifted[:, :-1]
    np.testing.assert_allclose(scale, scale[0, 0], rtol=1e-4)


def test_states_that_were_seen_often_are_less_new_than_others():
    options = NOVELTY | {"anneal_iterations": 10_000}
    _, state = rewards_over_time(60, **options)
    _, update = built(**options)
    reward = lambda states: update(jax.random.key(4), state, states, SURPRISES)[0]
    assert jnp.mean(reward(STATES)) < 0.5 * jnp.mean(reward(STATES + 2.0))


def test_bonus_is_bounded():
    options = SURPRISE | {"largest_bonus": 0.5, "surprise_weight": 2.0}
    (reward,), _ = rewards_over_time(1, **options)
    assert reward.max() == pytest.approx(1.0)


def test_random_network_stays_and_the_other_learns():
    first, _ = built()
    _, last = rewards_over_time(1)
    assert probe.relative_error(last.target, first.target) == 0
    assert probe.relative_error(last.predictor, first.predictor) > 0


def test_without_a_bonus_rewards_stay():
    bonus = no_bonus()
    extra, state, metrics = bonus.update(None, bonus.init(None), STATES, SURPRISES)
    assert extra == 0 and state == () and metrics == {}


@pytest.mark.parametrize(
    "options, message",
    [
        ({"anneal_iterations": 0}, "anneal_iterations must be above 0"),
        ({"novelty_weight": -1.0}, "novelty_weight must be 0 or more"),
        ({"largest_bonus": 0.0}, "largest_bonus must be above 0"),
    ],
)
def test_value_out_of_range_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ExplorationBonusConfig(**options)
