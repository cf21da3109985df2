import jax
import jax.numpy as jnp
import numpy as np
import probe
import pytest

from metarl_jax.distributions import Categorical
from metarl_jax.rollouts import (
    collect,
    collect_lives,
    complete,
    episode_return,
    episode_step,
    in_first_episode,
)
from metarl_jax.types import Policy

COIN = Policy(
    init=lambda key: jnp.zeros(2),
    apply=lambda params, observation, memory: (Categorical(params), memory),
)
COUNTING_COIN = COIN._replace(
    apply=lambda params, observation, memory: (
        Categorical(params * jnp.array([0.0, 1.0]) * memory),
        memory + 1,
    ),
    initial_memory=jnp.array(0),
)


@jax.jit
def collect_three_rows(key, limit):
    return collect(key, probe.Countdown(5), COIN, jnp.zeros(2), limit, 3)


@jax.jit
def collect_three_lives(key, limit):
    """Of two rows each, [2, 5, 3]."""
    return collect_lives(key, probe.Countdown(5), COIN, jnp.zeros(2), limit, 2, 3)


def lived(limit):
    data = collect_three_lives(jax.random.key(0), limit)
    return jax.tree.map(np.asarray, data)


def collected(limit, seed=0):
    data = collect_three_rows(jax.random.key(seed), limit)
    return jax.tree.map(np.asarray, data)


def test_episode_that_ends_early_is_followed_by_the_next_in_the_same_row():
    data = collected(limit=2)
    np.testing.assert_array_equal(data.reward[:, 1], [1, 10, 1, 10, 1])
    np.testing.assert_array_equal(data.observation[:, 1, 0] % 100, [0, 1, 0, 1, 0])


def test_each_episode_is_reset_with_a_new_key():
    starts = collected(limit=1).observation
    assert len(np.unique(starts)) == starts.size


def test_next_observation_is_what_came_before_the_reset():
    data = collected(limit=2)
    np.testing.assert_array_equal(data.next_observation, data.observation + 1)


def test_following_observation_is_the_next_one_within_an_episode():
    data = collected(limit=7)
    np.testing.assert_array_equal(data.next_observation[:-1], data.observation[1:])


@pytest.mark.parametrize(
    "limit, terminated, truncated",
    [
        (2, [0, 1, 0, 1, 0], [0, 0, 0, 0, 0]),
        (5, [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]),
        (9, [0, 0, 0, 0, 0], [0, 0, 0, 0, 1]),
    ],
    ids=["ends early", "ends at the horizon", "would end later"],
)
def test_terminated_and_truncated_exclude_each_other(limit, terminated, truncated):
    data = collected(limit)
    for row in range(3):
        np.testing.assert_array_equal(data.terminated[:, row], terminated)
        np.testing.assert_array_equal(data.truncated[:, row], truncated)


def test_episode_step_counts_from_each_reset():
    np.testing.assert_array_equal(episode_step(collected(2))[:, 0], [0, 1, 0, 1, 0])
    np.testing.assert_array_equal(episode_step(collected(9))[:, 0], [0, 1, 2, 3, 4])


def test_episodes_cut_by_the_end_of_the_row_are_not_complete():
    np.testing.assert_array_equal(complete(collected(2))[:, 0], [1, 1, 1, 1, 0])
    np.testing.assert_array_equal(complete(collected(3))[:, 0], [1, 1, 1, 0, 0])
    np.testing.assert_array_equal(complete(collected(9))[:, 0], [1, 1, 1, 1, 1])


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 9])
def test_first_episode_of_a_row_is_complete(limit):
    assert np.all(complete(collected(limit))[0])


def test_episode_return_is_that_of_the_first_episode():
    np.testing.assert_array_equal(episode_return(collected(2)), [11, 11, 11])
    np.testing.assert_array_equal(episode_return(collected(9)), [11111] * 3)


def test_info_travels_in_the_metrics():
    data = collected(limit=2)
    np.testing.assert_array_equal(data.metrics["time"][:, 0], [1, 2, 1, 2, 1])


def test_log_prob_is_that_of_the_policy_that_acted():
    np.testing.assert_allclose(collected(2).log_prob, np.log(0.5), rtol=1e-6)


def test_memory_lives_on_from_episode_to_episode():
    key, env = jax.random.key(0), probe.Countdown(4)
    params = jnp.array([0.0, 1.0])
    rollout = jax.jit(lambda: collect(key, env, COUNTING_COIN, params, 2, 2))
    data = jax.tree.map(np.asarray, rollout())
    steps = np.arange(4.0)[:, None]
    expected = np.where(data.action == 1, steps, 0) - np.logaddexp(0, steps)
    np.testing.assert_allclose(data.log_prob, expected, rtol=1e-5)


def test_life_has_one_episode_in_each_row():
    data = lived(limit=2)
    for row in np.ndindex(2, 3):
        stage, life = row
        np.testing.assert_array_equal(data.reward[stage, :, life], [1, 10, 0, 0, 0])
        np.testing.assert_array_equal(data.terminated[stage, :, life], [0, 1, 0, 0, 0])
    assert not np.any(data.truncated)
    np.testing.assert_array_equal(jax.vmap(episode_return)(data), np.full((2, 3), 11))


def test_after_the_end_of_an_episode_of_a_life_nothing_happens():
    data = lived(limit=2)
    moved = data.next_observation != data.observation
    np.testing.assert_array_equal(moved[..., 0], jax.vmap(in_first_episode)(data))
    np.testing.assert_array_equal(
        data.next_observation[:, :-1], data.observation[:, 1:]
    )
    np.testing.assert_array_equal(data.metrics["time"][0, :, 0], [1, 2, 0, 0, 0])


def test_each_episode_of_a_life_is_reset_with_a_new_key():
    starts = lived(limit=2).observation[:, 0]
    assert len(np.unique(starts)) == starts.size


def test_episode_of_a_life_that_reaches_the_horizon_fills_its_row():
    data = lived(limit=9)
    assert np.all(jax.vmap(in_first_episode)(data)) and not np.any(data.terminated)
    np.testing.assert_array_equal(data.truncated[0, :, 0], [0, 0, 0, 0, 1])


def test_rows_act_independently():
    rows = np.concatenate([collected(9, seed).action for seed in range(4)])
    assert np.any(rows[:, 0] != rows[:, 1])


def test_no_gradient_flows_through_collected_data():
    def total(params):
        env = probe.Countdown(5)
        return jnp.sum(collect(jax.random.key(0), env, COIN, params, 2, 3).log_prob)

    gradient = jax.jit(jax.grad(total))(jnp.array([0.3, -0.2]))
    np.testing.assert_array_equal(gradient, [0, 0])


def test_same_key_gives_the_same_data_and_another_key_other_data():
    first, again, other = collected(2), collected(2), collected(2, seed=1)
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert np.any(first.observation != other.observation)
