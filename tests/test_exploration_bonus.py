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
)
from metarl_jax.random_distillation import DistillationConfig, random_distillation
from metarl_jax.task_axis import TaskAxis
from metarl_jax.trial_credit import Horizon

SHAPE = (2, 2, 3, 1)  # [N, K+1, T, E]
DISTILLATION = DistillationConfig(
    hidden_sizes=(16,), num_outputs=4, learning_rate=1e-2, num_minibatches=2
)
CONFIG = ExplorationBonusConfig(anneal_iterations=4, distillation=DISTILLATION)
DISCOUNT = 0.9
HORIZON = Horizon(DISCOUNT, trace_decay=1.0, length=6)
NOVELTY = {"surprise_weight": 0.0}
SURPRISE = {"novelty_weight": 0.0}
STATES = jax.random.normal(jax.random.key(1), (*SHAPE, 3))
SURPRISES = jnp.abs(jax.random.normal(jax.random.key(2), SHAPE))


@cache
def built(**options):
    config = ExplorationBonusConfig(**vars(CONFIG) | options)
    bonus = exploration_bonus(config, 3, HORIZON, TaskAxis())
    all_count = jnp.ones_like(SURPRISES)
    update = jax.jit(lambda *inputs, counts=all_count: bonus.update(*inputs, counts))
    return jax.jit(bonus.init)(jax.random.key(0)), update


def rewards_over_time(num_iterations, states=STATES, surprise=SURPRISES, **options):
    """The bonuses [N, K+1, T, E] of each iteration on the same data, and the state."""
    state, update = built(**options)
    found = []
    for key in jax.random.split(jax.random.key(3), num_iterations):
        reward, state, _ = update(key, state, states, surprise)
        found.append(np.asarray(reward))
    return found, state


def in_a_row(values):
    """[N, K+1, T, 1] as [N, L]."""
    return np.asarray(values).reshape(2, 6)


def test_bonus_falls_linearly_to_zero():
    """Of surprise, whose scale stays where the data does."""
    rewards, _ = rewards_over_time(6, **SURPRISE)
    for iteration, left in enumerate([1.0, 0.75, 0.5, 0.25, 0.0, 0.0]):
        np.testing.assert_allclose(rewards[iteration], left * rewards[0], rtol=1e-5)
    assert np.all(in_a_row(rewards[0])[:, :-1] > 0)


def test_surprise_is_paid_in_standard_deviations_of_its_return():
    """But for the last step, of which no belief knows."""
    (reward,), _ = rewards_over_time(1, **SURPRISE)
    known = in_a_row(SURPRISES)[:, :-1]
    returns = [known[:, -1]]
    for paid in known[:, -2::-1].T:
        returns.append(paid + DISCOUNT * returns[-1])
    expected = np.pad(known / np.std(returns), ((0, 0), (0, 1)))
    np.testing.assert_allclose(in_a_row(reward), expected, rtol=1e-4)


@pytest.mark.parametrize("options", [NOVELTY, SURPRISE], ids=["novelty", "surprise"])
def test_steps_that_do_not_count_are_paid_nothing_and_are_in_no_deviation(options):
    state, update = built(**options)
    inputs = jax.random.key(3), state, STATES, SURPRISES
    counts = jnp.ones_like(SURPRISES).at[0, 0, 1:].set(0)
    paid, *_ = update(*inputs, counts=counts)
    all_paid, *_ = update(*inputs)
    assert not np.any(paid[0, 0, 1:])
    ratio = in_a_row(paid)[1, :-1] / in_a_row(all_paid)[1, :-1]  # of deviations
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-4)
    assert abs(ratio[0] - 1) > 1e-3


def test_novelty_is_paid_for_the_step_that_led_there_and_never_for_the_last():
    (reward,), _ = rewards_over_time(1, **NOVELTY)
    distillation = random_distillation(DISTILLATION, 3, TaskAxis())
    start = jax.jit(distillation.init)(jax.random.key(0))
    key = jax.random.key(3)
    novelty, *_ = jax.jit(distillation.update)(key, start, STATES)
    scale = in_a_row(reward)[:, :-1] / in_a_row(novelty)[:, 1:]
    np.testing.assert_allclose(scale, np.full((2, 5), scale[0, 0]), rtol=1e-4)
    np.testing.assert_array_equal(in_a_row(reward)[:, -1], np.zeros(2))


def test_units_and_origin_of_an_input_do_not_matter():
    """Also where they come from several iterations of other states."""
    state, update = built(**NOVELTY)
    other = state
    scale, shift = jnp.array([1.0, 100.0, 0.01]), jnp.array([0.0, 30.0, 5.0])
    for factor in (1.0, 3.0, -2.0):
        states = factor * STATES + factor
        key = jax.random.key(5)
        reward, state, _ = update(key, state, states, SURPRISES)
        moved, other, _ = update(key, other, scale * states + shift, SURPRISES)
        np.testing.assert_allclose(moved, reward, rtol=2e-3, atol=1e-4)


def test_moments_are_those_of_all_inputs_so_far():
    state, update = built(**NOVELTY)
    parts = STATES, 3 * STATES + 1, STATES - 5
    for part in parts:
        _, state, _ = update(jax.random.key(5), state, part, SURPRISES)
    inputs = np.concatenate(parts).reshape(-1, 3)
    moments = state.distillation.inputs
    np.testing.assert_allclose(moments.mean, inputs.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(moments.variance, inputs.var(axis=0), rtol=1e-4)


def test_states_that_were_seen_often_are_less_new_than_others():
    """Also than those that are as far from the mean, on its other side."""
    options = NOVELTY | {"anneal_iterations": 10_000}
    _, state = rewards_over_time(60, **options)
    _, update = built(**options)
    mean = jnp.mean(STATES, axis=(0, 1, 2, 3))
    reward = lambda states: update(jax.random.key(4), state, states, SURPRISES)[0]
    seen, mirrored = jnp.mean(reward(STATES)), jnp.mean(reward(2 * mean - STATES))
    assert seen < 0.5 * mirrored


def test_sizes_of_both_bonuses_are_told_apart():
    state, update = built()
    _, _, metrics = update(jax.random.key(3), state, STATES, SURPRISES)
    for part, options in (("novelty", NOVELTY), ("surprise", SURPRISE)):
        state, alone = built(**options)
        reward, _, _ = alone(jax.random.key(3), state, STATES, SURPRISES)
        known = in_a_row(reward)[:, :-1]
        np.testing.assert_allclose(metrics[f"{part}_bonus"], known.mean(), rtol=1e-4)


def test_bonus_is_bounded():
    options = SURPRISE | {"largest_bonus": 0.5, "surprise_weight": 2.0}
    (reward,), _ = rewards_over_time(1, **options)
    assert reward.max() == pytest.approx(1.0)


def test_random_network_stays_and_the_other_learns():
    first, _ = built()
    _, last = rewards_over_time(1)
    first, last = first.distillation, last.distillation
    assert probe.relative_error(last.target, first.target) == 0
    assert probe.relative_error(last.predictor, first.predictor) > 0


def test_trial_of_one_step_is_refused():
    """It leads to nothing that is acted on."""
    with pytest.raises(ValueError, match="a trial has but one step"):
        exploration_bonus(CONFIG, 3, HORIZON._replace(length=1), TaskAxis())


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
