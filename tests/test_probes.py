"""What beliefs tell of tasks, on data whose answer is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metarl_jax import probes
from metarl_jax.beliefs import Belief
from metarl_jax.decoded_goals import Goals, decoded_goals, total_variation
from metarl_jax.probes import principal_plane, probe_curve, task_folds

compiled_r_squared = jax.jit(probes.probe_r_squared)


def probe_r_squared(features, parameters):
    return compiled_r_squared(features, parameters, task_folds(parameters))


def noise(seed, *shape):
    return jnp.asarray(np.random.RandomState(seed).normal(size=shape), jnp.float32)


def test_probe_reads_all_of_a_linear_feature():
    tasks = noise(0, 100, 2)
    features = tasks @ noise(1, 2, 3) + 7
    read = probe_r_squared(features[:, None], 50 * tasks - 3)
    np.testing.assert_allclose(read, 1.0, atol=1e-4)


def test_probe_reads_nothing_of_independent_features():
    read = probe_r_squared(noise(0, 500, 1, 3), noise(1, 500, 2))
    assert (np.asarray(read) < 0.01).all() and (np.asarray(read) > -0.05).all()


def test_probe_reads_the_part_of_the_variance_that_is_signal():
    """Feature = task + noise of the same variance: R^2 = 1 / 2."""
    tasks = noise(0, 4000, 1)
    read = probe_r_squared((tasks + noise(1, 4000, 1))[:, None], tasks)
    np.testing.assert_allclose(read, 0.5, atol=0.04)


def test_probe_of_features_that_do_not_vary_is_zero():
    read = probe_r_squared(jnp.full((20, 2, 3), 0.3), noise(0, 20, 1))
    np.testing.assert_allclose(read, 0.0, atol=1e-6)


def test_probe_is_not_tested_on_rows_of_tasks_that_it_was_fitted_to():
    """Features that are names of tasks: read by heart, but not of another task."""
    names = jnp.repeat(jnp.eye(20)[:, None], 5, axis=1)
    read = probe_r_squared(names, noise(0, 20, 1))
    assert read[0] < 0.05


def test_tasks_that_are_the_same_are_on_the_same_side():
    """Names of 20 tasks, each of which is there five times, in any order."""
    drawn = np.random.RandomState(2).permutation(np.repeat(np.arange(20), 5))
    read = probe_r_squared(jnp.eye(20)[drawn][:, None], noise(0, 20, 1)[drawn])
    assert read[0] < 0.05
    folds = task_folds(noise(0, 20, 1)[drawn])
    assert all(len(set(folds[drawn == task])) == 1 for task in range(20))
    np.testing.assert_array_equal(np.bincount(folds), [20] * 5)


def test_parameter_that_does_not_vary_has_no_r_squared():
    tasks = noise(0, 20, 1)
    both = jnp.concatenate([tasks, jnp.ones((20, 1))], axis=1)
    read = probe_r_squared(tasks[:, None], both)
    assert read[0] > 0.99 and np.isnan(read[1])


def test_probe_of_too_few_tasks_is_refused():
    four = jnp.tile(noise(1, 4, 1), (10, 1))
    with pytest.raises(ValueError, match="needs 5 distinct tasks or more, not 4"):
        task_folds(four)


def test_curve_has_a_probe_for_each_step():
    """Nothing is known before the third of four steps, all from then on."""
    tasks = noise(0, 30, 2)
    known = jnp.arange(4).reshape(2, 2, 1, 1) >= 2
    means = jnp.where(known, tasks[:, None, None, None], 0.0)
    expected = np.repeat([[[0.0], [0.0]], [[1.0], [1.0]]], 2, axis=2)
    curve = probe_curve(means, tasks, task_folds(tasks))
    np.testing.assert_allclose(curve, expected, atol=1e-4)


def test_principal_plane_of_a_stretched_and_rotated_cross_is_the_cross():
    cross = jnp.array([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    rotation = np.linalg.qr(noise(0, 4, 4))[0][:2]
    plane, parts = principal_plane(cross @ rotation + 5)
    np.testing.assert_allclose(np.abs(plane), np.abs(cross), atol=1e-5)
    np.testing.assert_allclose(parts, [0.8, 0.2], rtol=1e-5)


def test_principal_plane_of_a_line_has_no_second_direction():
    plane, parts = principal_plane(jnp.array([[1.0], [3.0]]))
    np.testing.assert_allclose(np.abs(plane), [[1, 0], [1, 0]], atol=1e-6)
    np.testing.assert_allclose(parts, [1, 0], atol=1e-6)


GOALS = Goals(
    observations=jnp.arange(3.0)[:, None],
    prior=jnp.array([0.0, 0.5, 0.5]),
    low=-0.1,
    high=1.0,
)


def decoded(belief, reward, num_samples=1, seed=0):
    return decoded_goals(jax.random.key(seed), belief, reward, GOALS, num_samples)


def test_goals_of_a_certain_belief_are_its_rewards_between_low_and_high():
    """Rewards 1, 0.45 and 0.175 mean 1, 1/2 and 1/4; state 0 is no possible goal."""
    belief = Belief(jnp.array([1.0, 0.45, 0.175]), jnp.zeros(3))
    reward = lambda embedding, state: embedding[state[0].astype(int)]
    np.testing.assert_allclose(decoded(belief, reward), [0, 2 / 3, 1 / 3], rtol=1e-5)


def test_goals_are_averaged_over_the_belief_before_they_are_normalised():
    """The embedding is positive with probability 1/2: goal 1 is then sure, else none.

    Goal 2 has a chance of 1/4 for each embedding: 1/2 to 1/4, which is 2/3 to 1/3.
    """

    def reward(embedding, state):
        first = jnp.where(embedding[0] > 0, 1.0, -0.1)
        return jnp.where(state[0] == 1, first, 0.175)

    belief = Belief(jnp.zeros(1), jnp.ones(1))
    goals = decoded(belief, reward, num_samples=20_000)
    np.testing.assert_allclose(goals, [0, 2 / 3, 1 / 3], atol=0.01)


def test_goals_of_a_decoder_that_expects_none_are_those_of_the_prior():
    belief = Belief(jnp.zeros(1), jnp.ones(1))
    np.testing.assert_allclose(decoded(belief, lambda *_: -0.1), GOALS.prior)


def test_total_variation_is_what_has_to_be_moved():
    left, right = jnp.array([0.5, 0.5, 0.0]), jnp.array([0.2, 0.3, 0.5])
    np.testing.assert_allclose(total_variation(left, right), 0.5, rtol=1e-6)
