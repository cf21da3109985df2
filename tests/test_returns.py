import jax
import jax.numpy as jnp
import numpy as np
import probe
import pytest

from metarl_jax.returns import (
    discounted_returns,
    discounted_sum,
    generalized_advantages,
)

NEXT_VALUE = jnp.array([[10.0], [20.0], [30.0], [40.0]])
VALUE = jnp.array([[1.0], [2.0], [3.0], [4.0]])


def test_terminated_step_has_no_rest():
    data = probe.rollout([1, 2, 3, 4], terminated=[3])
    returns = discounted_returns(data, NEXT_VALUE, 0.5)
    np.testing.assert_allclose(returns[:, 0], [3.25, 4.5, 5, 4])


def test_truncated_step_bootstraps_from_next_observation():
    data = probe.rollout([1, 2, 3, 4], truncated=[3])
    returns = discounted_returns(data, NEXT_VALUE, 0.5)
    np.testing.assert_allclose(returns[:, 0], [5.75, 9.5, 15, 24])


def test_row_that_is_cut_bootstraps_like_a_truncated_one():
    data = probe.rollout([1, 2, 3, 4])
    returns = discounted_returns(data, NEXT_VALUE, 0.5)
    np.testing.assert_allclose(returns[:, 0], [5.75, 9.5, 15, 24])


def test_return_stops_at_the_end_of_each_episode_of_a_row():
    data = probe.rollout([1, 2, 3, 4], terminated=[1], truncated=[2])
    returns = discounted_returns(data, NEXT_VALUE, 0.5)
    np.testing.assert_allclose(returns[:, 0], [2, 2, 18, 24])


def test_rows_end_independently():
    data = probe.rollout([[1, 1], [1, 1]], terminated=[(0, 0), (1, 1)])
    returns = discounted_returns(data, jnp.full((2, 2), 8.0), 0.5)
    np.testing.assert_allclose(returns, [[1, 1.5], [5, 1]])


def test_generalized_advantages_equal_the_hand_computed_ones():
    # errors: 1 + 2/2 - 1, 2 + 3/2 - 2, 3 + 4/2 - 3, 4 + 40/2 - 4; decay 1/4
    data = probe.rollout([1, 2, 3, 4])
    advantage = generalized_advantages(data, VALUE, NEXT_VALUE, 0.5, 0.5)
    expected = [1.8125, 3.25, 7.0, 20.0]
    np.testing.assert_allclose(advantage[:, 0], expected)


def test_generalized_advantages_treat_both_kinds_of_end():
    # errors: 1 + 2/2 - 1 = 1; 2 - 2 = 0 (terminal); 3 + 30/2 - 3 = 15; 20
    data = probe.rollout([1, 2, 3, 4], terminated=[1], truncated=[2])
    advantage = generalized_advantages(data, VALUE, NEXT_VALUE, 0.5, 0.5)
    np.testing.assert_allclose(advantage[:, 0], [1, 0, 15, 20])


def test_termination_wins_where_a_step_is_flagged_as_both():
    data = probe.rollout([1, 2, 3, 4], terminated=[3], truncated=[3])
    returns = discounted_returns(data, NEXT_VALUE, 0.5)
    np.testing.assert_allclose(returns[:, 0], [3.25, 4.5, 5, 4])


def test_trace_decay_one_gives_return_less_value():
    data = probe.rollout([1, 2, 3, 4], terminated=[1])
    advantage = generalized_advantages(data, VALUE, NEXT_VALUE, 0.9, 1.0)
    expected = discounted_returns(data, NEXT_VALUE, 0.9) - VALUE
    np.testing.assert_allclose(advantage, expected, rtol=1e-6)


def test_trace_decay_zero_gives_the_one_step_error():
    data = probe.rollout([1, 2, 3, 4], terminated=[1])
    advantage = generalized_advantages(data, VALUE, NEXT_VALUE, 0.5, 0.0)
    np.testing.assert_allclose(advantage[:, 0], [1, 0, 2, 20])


@pytest.mark.parametrize("reverse", [True, False])
def test_discounted_sum_equals_a_loop(reverse):
    random = np.random.RandomState(0)
    term, decay = random.normal(size=(2, 7, 3))
    expected, carried = np.zeros((7, 3)), np.zeros(3)
    for t in reversed(range(7)) if reverse else range(7):
        carried = term[t] + decay[t] * carried
        expected[t] = carried
    with jax.enable_x64(True):
        actual = discounted_sum(jnp.asarray(term), jnp.asarray(decay), reverse)
    np.testing.assert_allclose(actual, expected, rtol=1e-12)
