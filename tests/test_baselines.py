import jax
import jax.numpy as jnp
import numpy as np
import probe
import pytest

from metarl_jax import baselines
from metarl_jax.baselines import linear_feature_baseline
from metarl_jax.returns import discounted_returns

T, E = 12, 6
fit = jax.jit(linear_feature_baseline)
returns_of = jax.jit(discounted_returns)


def noisy_data(observation=None, seed=0, **ends):
    random = np.random.RandomState(seed)
    if observation is None:
        observation = random.normal(size=(T, E, 2))
    reward = random.normal(size=(T, E)) + observation.sum(-1)
    return probe.rollout(
        reward.astype(np.float32),
        observation=observation.astype(np.float32),
        **(ends or {"truncated": [T - 1]}),
    )


def numpy_features(observation, step):
    observation = np.clip(np.asarray(observation, float), -10, 10)
    time = np.asarray(step, float)[..., None] / 100
    powers = [observation, observation**2, time, time**2, time**3, time**0]
    return np.concatenate(powers, axis=-1)


def numpy_fit(features, target):
    """Ridge regression as least squares on rows that pull each weight to zero."""
    scale = np.sqrt(np.mean(features**2, axis=0))
    scale[scale == 0] = 1
    penalty = np.sqrt(1e-5 * len(features)) * np.eye(len(scale))
    rows = np.concatenate([features / scale, penalty])
    target = np.concatenate([target, np.zeros(len(scale))])
    return np.linalg.lstsq(rows, target, rcond=None)[0] / scale


def test_values_equal_a_ridge_regression_by_numpy():
    data = noisy_data()
    step = np.repeat(np.arange(T)[:, None], E, axis=1)
    features = numpy_features(data.observation, step)
    returns = np.asarray(returns_of(data, jnp.zeros((T, E)), 0.9), float)
    weights = numpy_fit(features.reshape(T * E, -1), returns.ravel())
    actual = fit(data, 0.9)
    np.testing.assert_allclose(actual.value, features @ weights, atol=2e-3)
    following = numpy_features(data.next_observation, step + 1) @ weights
    np.testing.assert_allclose(actual.next_value[:-1], following[:-1], atol=2e-3)


def test_a_return_that_is_linear_in_the_features_is_fitted():
    reward = np.ones((T, E))
    baseline = fit(probe.rollout(reward, truncated=[T - 1]), 1.0)
    expected = np.repeat(np.arange(T, 0, -1)[:, None], E, axis=1)
    np.testing.assert_allclose(baseline.value, expected, rtol=1e-2)


def test_value_is_zero_at_the_horizon():
    baseline = fit(noisy_data(), 0.9)
    np.testing.assert_array_equal(baseline.next_value[-1], np.zeros(E))
    assert np.all(baseline.next_value[:-1] != 0)


def test_incomplete_episodes_are_not_fitted():
    ends = {"terminated": [4, (T - 1, 0)]}
    data = noisy_data(**ends)
    cut = np.zeros((T, E), bool)
    cut[5:, 1:] = True
    changed = data._replace(reward=jnp.where(cut, 1e3, data.reward))
    before, after = (fit(d, 0.9) for d in (data, changed))
    np.testing.assert_array_equal(before.value, after.value)


def test_row_without_any_complete_episode_gets_zeros():
    baseline = fit(probe.rollout(np.ones((T, E))), 0.9)
    np.testing.assert_array_equal(baseline.value, np.zeros((T, E)))


def test_time_is_counted_from_the_start_of_each_episode():
    ends = {"terminated": [T // 2 - 1, T - 1]}
    baseline = fit(probe.rollout(np.ones((T, E)), **ends), 1.0)
    expected = np.tile(np.arange(T // 2, 0, -1), 2)
    np.testing.assert_allclose(baseline.value[:, 0], expected, rtol=1e-2)


ONE_HOT = np.eye(3)[np.random.RandomState(0).randint(0, 3, (T, E))]
RANDOM = np.random.RandomState(0).normal(size=(T, E, 2))


@pytest.mark.parametrize(
    "observation",
    [
        ONE_HOT,
        np.full((T, E, 2), 10.0),
        np.zeros((T, E, 2)),
        np.concatenate([RANDOM, RANDOM, 2 * RANDOM], axis=-1),
        1e30 * RANDOM,
        1e-12 * RANDOM,
        1e-20 * RANDOM,
        RANDOM * np.array([1e5, 1e-5]),
    ],
    ids=[
        "one-hot",
        "constant",
        "zero",
        "collinear",
        "huge",
        "small",
        "tiny",
        "mixed scales",
    ],
)
def test_values_stay_near_the_returns_for_awkward_observations(observation):
    data = noisy_data(RANDOM)._replace(
        observation=jnp.asarray(observation, jnp.float32),
        next_observation=jnp.asarray(observation, jnp.float32),
    )
    baseline = fit(data, 0.9)
    returns = returns_of(data, jnp.zeros((T, E)), 0.9)
    assert np.all(np.isfinite(baseline.next_value))
    residual = np.std(returns - baseline.value)
    assert residual <= 1.01 * np.std(returns)


def test_integer_observations_are_fitted_like_real_ones():
    real = noisy_data(ONE_HOT)
    whole = real._replace(
        observation=real.observation.astype(jnp.int32),
        next_observation=real.next_observation.astype(jnp.int32),
    )
    expected = fit(real, 0.9)
    actual = fit(whole, 0.9)
    np.testing.assert_array_equal(actual.value, expected.value)


def indefinite(smallest):
    """A matrix [3, 3] with eigenvalues 1, 1 and `smallest`."""
    axes = np.linalg.qr(np.random.RandomState(0).normal(size=(3, 3)))[0]
    return (axes * np.array([1.0, 1.0, smallest])) @ axes.T


@pytest.mark.parametrize("smallest, ridge", [(0.5, 1e-5), (-5e-5, 1e-4), (-5e-4, 1e-3)])
def test_ridge_is_the_smallest_that_leaves_the_matrix_positive_definite(
    smallest, ridge
):
    moments, correlation = indefinite(smallest), np.array([1.0, -2.0, 0.5])
    expected = np.linalg.solve(moments + ridge * np.eye(3), correlation)
    arguments = (jnp.asarray(each, jnp.float32) for each in (moments, correlation))
    weights = jax.jit(baselines._solve)(*arguments)
    np.testing.assert_allclose(weights, expected, rtol=2e-2)


def test_fit_to_what_is_no_number_ends():
    weights = jax.jit(baselines._solve)(jnp.full((3, 3), jnp.nan), jnp.ones(3))
    assert np.isnan(weights).all()
