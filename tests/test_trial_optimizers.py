"""PPO and TRPO on trials: advantages across episodes, minibatches, trust region."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import probe
import pytest

from metarl_jax.minibatches import MinibatchConfig, minibatch_descent
from metarl_jax.optimizers import adam_chain
from metarl_jax.task_axis import TaskAxis
from metarl_jax.trial_credit import Horizon, episode_credit, trial_advantages
from metarl_jax.trial_optimizers import TrialProximalConfig, remaining


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
    advantage, returns = episode_credit(value, data, horizon)
    expected = [[1 + 0.5 * 2, 2], [3 + 0.5 * 4 + 0.25 * 60, 4 + 0.5 * 60]]
    np.testing.assert_allclose(returns[..., 0], expected)
    np.testing.assert_allclose(returns, value(data) + advantage)


def test_scale_is_the_return_of_constant_rewards():
    np.testing.assert_allclose(Horizon(0.5, 1.0, 3).scale, 1.75)
    np.testing.assert_allclose(Horizon(1.0, 1.0, 7).scale, 7.0)


def squared_distance(params, entries):
    error = params - entries
    return jnp.mean(error**2), {"error": jnp.mean(error)}


def descend(config, entries, axis=None):
    descent = minibatch_descent(squared_distance, config, axis or TaskAxis())
    params = jnp.float32(1.0)
    update = probe.quick_jit(descent.update)
    return update(jax.random.key(0), params, descent.init(params), entries)


def test_one_minibatch_of_one_epoch_is_a_step_of_adam():
    entries = jnp.arange(4.0)
    config = MinibatchConfig(learning_rate=0.1, num_epochs=1, num_minibatches=1)
    params, _, metrics = descend(config, entries)
    optimizer = adam_chain(config)
    gradient = 2 * (1.0 - entries.mean())
    updates, _ = optimizer.update(gradient, optimizer.init(jnp.float32(1.0)))
    np.testing.assert_allclose(params, optax.apply_updates(1.0, updates), rtol=1e-6)
    np.testing.assert_allclose(metrics["error"], 1.0 - entries.mean(), rtol=1e-6)
    np.testing.assert_allclose(metrics["gradient_norm"], abs(gradient), rtol=1e-6)


def test_each_epoch_sees_every_task_once():
    entries = jnp.arange(6.0)
    config = MinibatchConfig(1e-6, num_epochs=2, num_minibatches=3)
    _, state, metrics = descend(config, entries)
    np.testing.assert_allclose(metrics["error"], 1.0 - entries.mean(), atol=1e-4)
    counts = [leaf for leaf in jax.tree.leaves(state) if leaf.dtype == jnp.int32]
    assert all(count == 6 for count in counts) and counts


def test_learning_rate_falls_to_zero_over_all_minibatches():
    config = MinibatchConfig(0.1, decay_iterations=1, num_epochs=2, num_minibatches=3)
    assert config.steps_per_iteration == 6
    entries = jnp.arange(6.0)
    params, state, _ = descend(config, entries)
    descent = minibatch_descent(squared_distance, config, TaskAxis())
    after, _, _ = descent.update(jax.random.key(1), params, state, entries)
    np.testing.assert_array_equal(after, params)


def test_learning_rate_falls_to_the_final_fraction_and_stays_there():
    config = MinibatchConfig(
        0.1, 1, final_fraction=0.25, max_gradient_norm=1e3, num_epochs=1
    )
    entries = jnp.full(4, 5.0)
    params, state, _ = descend(config, entries)
    descent = minibatch_descent(squared_distance, config, TaskAxis())
    after, _, _ = descent.update(jax.random.key(1), params, state, entries)
    # Adam moves by the learning rate where all gradients are nearly the same
    np.testing.assert_allclose(after - params, 4 * 0.025, rtol=0.02)


@pytest.mark.parametrize(
    ("config", "left"),
    [
        (TrialProximalConfig(), [1, 1, 1]),
        (TrialProximalConfig(decay_iterations=4), [1, 0.5, 0]),
        (TrialProximalConfig(decay_iterations=4, final_fraction=0.2), [1, 0.6, 0.2]),
    ],
)
def test_entropy_bonus_falls_as_the_learning_rate_does(config, left):
    fractions = [remaining(config, iteration) for iteration in (0, 2, 9)]
    np.testing.assert_allclose(fractions, left, rtol=1e-6)


def test_number_of_minibatches_that_does_not_divide_the_tasks_is_refused():
    with pytest.raises(ValueError, match="num_minibatches must divide the 6 tasks"):
        descend(MinibatchConfig(num_minibatches=4), jnp.arange(6.0))


def test_final_fraction_above_one_is_refused():
    with pytest.raises(ValueError, match="final_fraction must be between 0 and 1"):
        TrialProximalConfig(final_fraction=1.5)


@pytest.mark.parametrize("field", ["value_coefficient", "entropy_coefficient"])
def test_negative_coefficient_is_refused(field):
    with pytest.raises(ValueError, match=f"{field} must be 0 or more, not -0.1"):
        TrialProximalConfig(**{field: -0.1})


def test_clip_range_of_zero_is_refused():
    with pytest.raises(ValueError, match="clip_range must be above 0, not 0"):
        TrialProximalConfig(clip_range=0)
