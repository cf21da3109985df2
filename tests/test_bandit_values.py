"""Exact values of Bernoulli bandits: by hand, and by a search that knows no belief."""

import time

import pytest

from metarl_jax.classical.bandit_values import bayes_optimal_value, num_beliefs


def test_one_pull_pays_the_prior_mean():
    assert bayes_optimal_value(3, 1) == 0.5


def test_one_arm_pays_the_prior_mean_at_every_pull():
    assert bayes_optimal_value(1, 30) == 15.0
    assert bayes_optimal_value(1, 600) == 300.0


def test_two_pulls_of_two_arms_by_hand():
    """1/2, then 2/3 where the first pull paid and 1/2 of another arm where not."""
    assert bayes_optimal_value(2, 2) == pytest.approx(1 / 2 + (2 / 3 + 1 / 2) / 2)


@pytest.mark.parametrize(
    ("num_arms", "value"), [(5, 6.65999), (10, 6.71395), (50, 6.71395)]
)
def test_values_at_ten_pulls(num_arms, value):
    assert bayes_optimal_value(num_arms, 10) == pytest.approx(value, abs=5e-6)


def test_arms_beyond_the_number_of_pulls_are_worth_nothing():
    assert bayes_optimal_value(6, 6) == bayes_optimal_value(60, 6)
    assert bayes_optimal_value(5, 6) < bayes_optimal_value(6, 6)


@pytest.mark.parametrize(("num_arms", "num_pulls"), [(2, 5), (3, 4), (4, 3)])
def test_value_is_that_of_a_search_over_histories(num_arms, num_pulls):
    expected = best_after(num_arms, num_pulls, ())
    assert bayes_optimal_value(num_arms, num_pulls) == pytest.approx(expected)


def best_after(num_arms, num_pulls, history):
    """Reward to come times the probability of `history`, of pairs (arm, reward)."""
    if len(history) == num_pulls:
        return 0.0
    return max(
        sum(
            reward * probability(num_arms, (*history, (arm, reward)))
            + best_after(num_arms, num_pulls, (*history, (arm, reward)))
            for reward in (0, 1)
        )
        for arm in range(num_arms)
    )


def probability(num_arms, history):
    """Of the rewards of a history, whose arms are chosen, under the uniform prior.

    The integral over each arm's success probability p of p^s (1 - p)^f, summed by
    Simpson's rule.
    """
    product = 1.0
    for arm in range(num_arms):
        rewards = [reward for pulled, reward in history if pulled == arm]
        wins, losses = sum(rewards), len(rewards) - sum(rewards)
        product *= simpson(lambda p, s=wins, f=losses: p**s * (1 - p) ** f)
    return product


def simpson(fn, intervals=40):
    weights = [1] + [4, 2] * (intervals // 2 - 1) + [4, 1]
    values = [fn(i / intervals) for i in range(intervals + 1)]
    return sum(w * v for w, v in zip(weights, values, strict=True)) / (3 * intervals)


@pytest.mark.parametrize(("num_arms", "num_pulls"), [(1, 4), (2, 3), (3, 3), (5, 4)])
def test_number_of_beliefs_is_that_of_all_outcomes(num_arms, num_pulls):
    outcomes = {((0, 0),) * num_arms}
    for _ in range(num_pulls):
        outcomes |= {
            tuple(sorted([*arms[:i], (s + won, f + 1 - won), *arms[i + 1 :]]))
            for arms in outcomes
            for i, (s, f) in enumerate(arms)
            for won in (0, 1)
        }
    assert num_beliefs(num_arms, num_pulls) == len(outcomes)


@pytest.mark.parametrize(
    ("num_arms", "num_pulls"), [(5, 100), (5, 500), (50, 100), (50, 500)]
)
def test_what_is_too_large_is_refused_at_once(num_arms, num_pulls):
    start = time.perf_counter()
    with pytest.raises(ValueError, match="choose fewer pulls or fewer arms"):
        bayes_optimal_value(num_arms, num_pulls)
    assert time.perf_counter() - start < 10


def test_no_arm_is_refused():
    with pytest.raises(ValueError, match="num_arms must be at least 1, not 0"):
        bayes_optimal_value(0, 3)
