import time

import numpy as np
import pytest
import scipy.stats

from metarl_jax import statistics
from metarl_jax.statistics import (
    interquartile_mean,
    oracle_normalized,
    oracle_normalized_interval,
    stratified_bootstrap,
)


def test_interquartile_mean_of_eight_scores_is_the_mean_of_the_middle_four():
    scores = [100.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, -100.0]
    assert interquartile_mean(scores) == (2 + 3 + 4 + 5) / 4


@pytest.mark.parametrize("shape", [(1,), (2,), (3,), (7,), (10, 3), (5, 40)])
def test_interquartile_mean_equals_scipys_trimmed_mean(shape):
    scores = np.random.default_rng(0).standard_cauchy(shape)
    expected = scipy.stats.trim_mean(scores, 0.25, axis=None)
    np.testing.assert_allclose(interquartile_mean(scores), expected, rtol=1e-12)


def test_interquartile_mean_over_axes_equals_a_loop():
    scores = np.random.default_rng(0).normal(size=(5, 8, 3))
    expected = [interquartile_mean(scores[..., k]) for k in range(3)]
    np.testing.assert_allclose(interquartile_mean(scores, (0, 1)), expected)
    expected = [interquartile_mean(row) for row in scores.reshape(5, -1)]
    np.testing.assert_allclose(interquartile_mean(scores, (1, 2)), expected)


def test_interquartile_mean_refuses_no_scores():
    with pytest.raises(ValueError, match="at least one score"):
        interquartile_mean([])


def test_interval_of_two_scores_of_one_task_is_known():
    """Means of two draws from {0, 1} are 0, 1/2, 1 with chances 1/4, 1/2, 1/4."""
    scores = [[0.0], [1.0]]
    wide = stratified_bootstrap(scores, np.mean, level=0.9, resample_tasks=False)
    narrow = stratified_bootstrap(scores, np.mean, level=0.4, resample_tasks=False)
    np.testing.assert_array_equal(wide, [0.0, 1.0])
    np.testing.assert_array_equal(narrow, [0.5, 0.5])


def test_seeds_stay_within_their_task():
    """Without noise between seeds, only the draw of tasks can give a width."""
    scores = np.tile(np.arange(6.0), (4, 1))
    fixed = stratified_bootstrap(scores, np.mean, resample_tasks=False)
    np.testing.assert_array_equal(fixed, [2.5, 2.5])
    low, high = stratified_bootstrap(scores, np.mean)
    assert low < 2.5 < high


def test_shared_seeds_cover_what_runs_have_in_common():
    """All of the spread is between runs: independent draws would average it away."""
    scores = np.tile(np.arange(5.0)[:, None], (1, 40))
    width = lambda shared: np.ptp(
        stratified_bootstrap(scores, np.mean, shared_seeds=shared)
    )
    assert width(True) > 2.0
    assert width(False) < 0.6


def test_one_seed_has_an_interval_over_tasks_only():
    scores = np.random.default_rng(0).normal(size=(1, 40))
    assert np.ptp(stratified_bootstrap(scores, resample_tasks=False)) == 0
    low, high = stratified_bootstrap(scores, np.mean)
    expected = 2 * 1.96 * scores.std() / np.sqrt(40)
    np.testing.assert_allclose(high - low, expected, rtol=0.1)


@pytest.mark.parametrize(
    "task_spread, run_spread, resample_tasks, shared_seeds, lowest, highest",
    [
        (0.0, 0.0, False, False, 0.88, 0.97),
        (1.0, 0.0, True, False, 0.90, 0.98),
        (1.0, 0.5, True, True, 0.88, 0.98),
    ],
)
def test_interval_covers_the_mean_of_gaussian_scores(
    task_spread, run_spread, resample_tasks, shared_seeds, lowest, highest
):
    generator = np.random.default_rng(0)
    covered = []
    for trial in range(300):
        tasks = task_spread * generator.normal(size=(1, 20))
        runs = run_spread * generator.normal(size=(10, 1))
        scores = tasks + runs + generator.normal(size=(10, 20))
        low, high = stratified_bootstrap(
            scores,
            np.mean,
            num_resamples=400,
            seed=trial,
            resample_tasks=resample_tasks,
            shared_seeds=shared_seeds,
        )
        covered.append(low <= 0 <= high)
    assert lowest <= np.mean(covered) <= highest


def test_interval_depends_on_the_seed_alone():
    scores = np.random.default_rng(0).normal(size=(3, 10))
    first = stratified_bootstrap(scores, seed=1)
    np.testing.assert_array_equal(first, stratified_bootstrap(scores, seed=1))
    assert not np.array_equal(first, stratified_bootstrap(scores, seed=2))


def test_interval_of_a_curve_equals_that_of_each_step_and_is_fast():
    scores = np.random.default_rng(0).normal(size=(5, 40, 4))
    start = time.perf_counter()
    interval = stratified_bootstrap(scores)
    assert time.perf_counter() - start < 5
    assert interval.shape == (2, 4)
    assert np.all(interval[0] < interval[1])
    for k in range(4):
        np.testing.assert_allclose(interval[:, k], stratified_bootstrap(scores[..., k]))


@pytest.mark.parametrize("resample_tasks", [True, False])
def test_interval_of_resamples_a_few_at_a_time_is_the_same(resample_tasks, monkeypatch):
    scores = np.random.default_rng(0).normal(size=(3, 5, 2))
    sizes = []

    def mean(scores, axis):
        sizes.append(scores.size)
        return np.mean(scores, axis=axis)

    options = {"resample_tasks": resample_tasks, "num_resamples": 100}
    at_once = stratified_bootstrap(scores, mean, **options)
    monkeypatch.setattr(statistics, "_MOST_RESAMPLED", 7 * scores.size)
    np.testing.assert_array_equal(
        stratified_bootstrap(scores, mean, **options), at_once
    )
    assert sizes == [3000] + 14 * [210] + [60]


@pytest.mark.parametrize(
    "scores, options, message",
    [
        ([1.0, 2.0], {}, "seeds, tasks"),
        (np.zeros((0, 3)), {}, "seeds, tasks"),
        ([[1.0]], {"level": 95}, "level must be between 0 and 1, got 95"),
        ([[1.0]], {"num_resamples": 0}, "num_resamples must be at least 1, got 0"),
    ],
)
def test_bootstrap_names_what_is_wrong(scores, options, message):
    with pytest.raises(ValueError, match=message):
        stratified_bootstrap(scores, **options)


def test_oracle_normalized_maps_random_to_0_and_the_oracle_to_100():
    scores = oracle_normalized([-80.0, -2.0, -41.0], random=-80.0, oracle=-2.0)
    np.testing.assert_allclose(scores, [0, 100, 50])


def test_oracle_normalized_has_no_scale_where_the_oracle_is_no_better():
    scores = oracle_normalized([1.0, 1.0], random=[0.0, 2.0], oracle=2.0)
    np.testing.assert_array_equal(scores, [50, np.nan])


def test_interval_of_normalized_scores_is_a_point_where_nothing_varies():
    ones = np.ones((3, 10))
    score = np.stack([ones * -5.0, ones * 2.5], axis=-1)
    interval = oracle_normalized_interval(score, -5.0 * ones, 10.0 * ones[:1])
    np.testing.assert_allclose(interval, [[0.0, 50.0], [0.0, 50.0]])


def test_interval_of_normalized_scores_draws_the_same_tasks_for_all():
    """A score that is halfway on every task is so on every draw of tasks."""
    random = np.random.default_rng(0).normal(size=(1, 40))
    oracle = random + 10.0
    score = (random + 5.0)[..., None]
    interval = oracle_normalized_interval(score, random, oracle)
    np.testing.assert_allclose(interval, 50.0)


def test_interval_of_normalized_scores_covers_seeds_of_the_oracle():
    tasks = np.ones((1, 40))
    oracles = np.array([[10.0], [20.0]]) * tasks
    low, high = oracle_normalized_interval(10 * tasks[..., None], 0 * tasks, oracles)
    np.testing.assert_allclose([low, high], [[50.0], [100.0]])


def test_interval_of_normalized_scores_is_unknown_without_a_better_oracle():
    scores = np.ones((2, 5))
    assert np.isnan(oracle_normalized_interval(scores, scores, scores)).all()


def test_reference_is_compared_with_itself_draw_by_draw():
    """Its seeds differ by more than all else, yet it is exactly 0 or 100 everywhere."""
    generator = np.random.default_rng(0)
    random = generator.normal(size=(3, 10, 4))
    oracle = 50.0 + 20.0 * generator.normal(size=(5, 1)) + np.zeros((5, 10))
    references = random[..., 0], oracle
    of_oracle = oracle_normalized_interval(oracle[..., None], *references)
    np.testing.assert_allclose(of_oracle, 100.0)
    of_random = oracle_normalized_interval(random, *references)
    np.testing.assert_allclose(of_random[:, 0], 0.0, atol=1e-12)
    assert np.all(np.ptp(of_random[:, 1:], axis=0) > 0)


@pytest.mark.parametrize("shape", [(2, 4), (5,), (0, 5), (2, 5, 1)])
def test_reference_on_other_tasks_is_refused(shape):
    scores = np.ones((2, 5))
    for references in ([np.ones(shape), scores], [scores, np.ones(shape)]):
        with pytest.raises(ValueError, match="tasks of the scores, here 5, got"):
            oracle_normalized_interval(scores, *references)
