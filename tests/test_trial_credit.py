"""Credit in trials, by hand: across the borders of episodes, and within them."""

import jax.numpy as jnp
import numpy as np
import probe
import pytest

from metarl_jax.trial_credit import (
    Horizon,
    episode_credit,
    normalized_advantages,
    regret_credit,
    trial_advantages,
    trial_credit,
)


def trial(reward, terminated):
    """[K+1, T, 1] from rows."""
    blank = probe.rollout(np.zeros((2, 1)))
    column = lambda rows: jnp.asarray(rows)[..., None]
    return blank._replace(
        reward=column(reward),
        terminated=column(terminated),
        truncated=jnp.zeros((2, 2, 1), bool),
    )


def test_return_counts_the_reward_of_later_episodes():
    data = trial([[1.0, 0.0], [0.0, 8.0]], [[False, True], [False, False]])
    horizon = Horizon(discount=0.5, trace_decay=1.0, length=4)
    advantage, returns = trial_advantages(data, jnp.zeros((2, 2, 1)), horizon)
    expected = [[1 + 8 / 8, 8 / 4], [8 / 2, 8]]  # the end of an episode changes nothing
    np.testing.assert_allclose(returns[..., 0], expected)
    np.testing.assert_allclose(advantage, returns)


def test_advantage_without_traces_is_the_error_of_one_step_across_the_border():
    data = trial([[1.0, 2.0], [3.0, 4.0]], [[False, True], [False, False]])
    value = jnp.array([[10.0, 20.0], [30.0, 40.0]])[..., None]
    horizon = Horizon(discount=0.5, trace_decay=0.0, length=4)
    advantage, returns = trial_advantages(data, value, horizon)
    expected = [[1 + 10 - 10, 2 + 15 - 20], [3 + 20 - 30, 4 - 40]]
    np.testing.assert_allclose(advantage[..., 0], expected)
    np.testing.assert_allclose(returns, value + advantage)


def test_what_is_done_after_the_end_of_an_episode_does_not_count():
    data = trial([[1.0, 0.0], [0.0, 8.0]], [[True, False], [False, False]])
    horizon = Horizon(discount=0.5, trace_decay=1.0, length=4)
    nothing = lambda trial: jnp.zeros((2, 2, 1))
    _, returns, counts = trial_credit(nothing, data, horizon)
    np.testing.assert_array_equal(counts[..., 0], [[1, 0], [1, 1]])
    np.testing.assert_allclose(returns[..., 0], [[1 + 8 / 8, 8 / 4], [8 / 2, 8]])


def test_credit_of_an_episode_ends_with_it_and_counts_what_was_cut_off():
    ends = [[False, True], [False, False]]
    data = trial([[1.0, 2.0], [3.0, 4.0]], ends)
    column = lambda rows: jnp.asarray(rows)[..., None]
    data = data._replace(
        truncated=column([[False, False], [False, True]]),
        observation=column([[[10.0], [20.0]], [[30.0], [40.0]]]),
        next_observation=column([[[20.0], [99.0]], [[40.0], [60.0]]]),
    )
    value = lambda trial: trial.observation.reshape(2, 2, 1)
    horizon = Horizon(discount=0.5, trace_decay=1.0, length=2)
    advantage, returns, counts = episode_credit(value, data, horizon)
    assert np.all(counts)
    expected = [[1 + 0.5 * 2, 2], [3 + 0.5 * 4 + 0.25 * 60, 4 + 0.5 * 60]]
    np.testing.assert_allclose(returns[..., 0], expected)
    np.testing.assert_allclose(returns, value(data) + advantage)


def test_scale_is_the_return_of_constant_rewards():
    np.testing.assert_allclose(Horizon(0.5, 1.0, 3).scale, 1.75)
    np.testing.assert_allclose(Horizon(1.0, 1.0, 7).scale, 7.0)


def test_advantages_over_tasks_do_not_see_what_is_common_to_them_at_a_step():
    random = np.random.RandomState(0)
    advantage = random.normal(size=(5, 2, 3, 2))
    weight = np.ones_like(advantage)
    common, scale = random.normal(size=(2, 2, 3))[..., None]
    of = lambda advantage: normalized_advantages(advantage, weight, "tasks")
    normalized = of(advantage)
    np.testing.assert_allclose(normalized.mean(axis=(0, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(normalized.std(axis=(0, 3)), 1, rtol=1e-6)
    changed = common + np.exp(scale) * advantage
    np.testing.assert_allclose(of(changed), normalized, atol=1e-5)
    together = normalized_advantages(changed, weight, "trials")
    assert abs(together.mean()) < 1e-6 and abs(together.std() - 1) < 1e-6
    assert np.abs(together - normalized).max() > 0.1


def test_advantages_of_a_single_life_over_tasks_are_refused():
    one = np.ones((1, 2, 3, 1))
    with pytest.raises(ValueError, match="set num_tasks to 2 or more, or normalized_o"):
        normalized_advantages(one, one, "tasks")
    assert not normalized_advantages(one, one, "trials").any()


def test_regret_is_credited_in_place_of_rewards():
    data = trial([[1.0, 0.0], [0.0, 8.0]], [[False, False], [False, False]])
    regret = jnp.array([[0.5, 0.0], [2.0, 1.0]])[..., None]
    horizon = Horizon(discount=0.5, trace_decay=0.9, length=4)
    value = lambda trial: jnp.array([[10.0, 20.0], [30.0, 40.0]])[..., None]
    credit = regret_credit(value, data._replace(metrics={"regret": regret}), horizon)
    expected = trial_credit(value, data._replace(reward=-regret), horizon)
    for ours, theirs in zip(credit, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    rewarded = trial_credit(value, data, horizon)
    assert np.abs(credit.advantage - rewarded.advantage).max() > 1


def test_credit_for_a_regret_that_is_unknown_is_refused():
    data = trial([[1.0, 0.0], [0.0, 8.0]], [[False, False], [False, False]])
    with pytest.raises(ValueError, match="says no regret: set credit to reward"):
        regret_credit(lambda trial: trial.reward, data, Horizon(0.5, 1.0, 4))
