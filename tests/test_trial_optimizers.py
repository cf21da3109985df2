"""PPO and TRPO on trials: advantages across episodes, minibatches, trust region."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import probe
import pytest

from metarl_jax.distributions import Categorical
from metarl_jax.memory_policies import TrialNetworks
from metarl_jax.minibatches import MinibatchConfig, minibatch_descent
from metarl_jax.optimizers import adam_chain
from metarl_jax.task_axis import TaskAxis
from metarl_jax.trial_credit import Horizon
from metarl_jax.trial_optimizers import (
    TrialProximalConfig,
    TrialTrustRegionConfig,
    remaining,
    trial_optimizer,
)
from metarl_jax.types import Policy


def squared_distance(params, entries):
    error = params - entries
    return jnp.mean(error**2), {"error": jnp.mean(error)}


def descend(config, entries, axis=None):
    descent = minibatch_descent(squared_distance, config, axis or TaskAxis())
    params = jnp.float32(1.0)
    update = jax.jit(descent.update)
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


DIE = TrialNetworks(
    policy=Policy(lambda key: {"action": jnp.zeros(3)}, None),
    init_value=lambda key: {"value": jnp.zeros(())},
    features=lambda params, trial: trial.observation[..., 0],
    action=lambda params, features: Categorical(
        params["action"] + jnp.zeros((*features.shape, 3))
    ),
    value=lambda params, features: params["value"] + jnp.zeros(features.shape),
)


def logits_after(config, actions):
    """Of a die, after an update on a trial whose first episode ends at once."""
    rewards = np.array([[1.0, 0.0], [0.0, 8.0]])
    trial = probe.rollout(np.zeros((2, 1)))._replace(
        observation=jnp.zeros((2, 2, 1, 1)),
        action=jnp.asarray(actions)[..., None],
        log_prob=jnp.full((2, 2, 1), -jnp.log(3.0)),
        reward=jnp.asarray(rewards)[..., None],
        terminated=jnp.zeros((2, 2, 1), bool).at[0, 0].set(True),
        truncated=jnp.zeros((2, 2, 1), bool),
    )
    trials = jax.tree.map(lambda leaf: leaf[None], trial)
    optimizer = trial_optimizer(DIE, config, Horizon(0.5, 1.0, 4), TaskAxis())
    params, state = optimizer.init(jax.random.key(0))
    params, *_ = jax.jit(optimizer.update)(jax.random.key(1), params, state, trials)
    return params["action"]


@pytest.mark.parametrize(
    "config",
    [
        TrialProximalConfig(num_epochs=1, num_minibatches=1),
        TrialTrustRegionConfig(critic=MinibatchConfig(num_minibatches=1)),
    ],
    ids=["ppo", "trpo"],
)
def test_policy_learns_nothing_from_what_is_done_after_the_end_of_an_episode(config):
    logits = logits_after(config, [[0, 0], [1, 2]])
    after_the_end = logits_after(config, [[0, 1], [1, 2]])
    np.testing.assert_allclose(after_the_end, logits, rtol=1e-6)
    other = logits_after(config, [[0, 0], [1, 0]])
    assert np.abs(other - logits).max() > 1e-4


@pytest.mark.parametrize(
    "config",
    [
        TrialProximalConfig(num_minibatches=1, normalized_over="tasks"),
        TrialTrustRegionConfig(normalized_over="tasks"),
    ],
    ids=["ppo", "trpo"],
)
def test_advantages_are_normalized_over_what_is_configured(config):
    with pytest.raises(ValueError, match="set num_tasks to 2 or more"):
        logits_after(config, [[0, 0], [1, 2]])


def test_number_of_minibatches_that_does_not_divide_the_tasks_is_refused():
    with pytest.raises(ValueError, match="num_minibatches must divide the 6 tasks"):
        descend(MinibatchConfig(num_minibatches=4), jnp.arange(6.0))


def test_final_fraction_above_one_is_refused():
    with pytest.raises(ValueError, match="final_fraction must be between 0 and 1"):
        TrialProximalConfig(final_fraction=1.5)


@pytest.mark.parametrize("config", [TrialProximalConfig, TrialTrustRegionConfig])
def test_unknown_normalization_is_refused(config):
    with pytest.raises(ValueError, match="normalized_over must be one of trials, task"):
        config(normalized_over="steps")


@pytest.mark.parametrize("field", ["value_coefficient", "entropy_coefficient"])
def test_negative_coefficient_is_refused(field):
    with pytest.raises(ValueError, match=f"{field} must be 0 or more, not -0.1"):
        TrialProximalConfig(**{field: -0.1})


def test_clip_range_of_zero_is_refused():
    with pytest.raises(ValueError, match="clip_range must be above 0, not 0"):
        TrialProximalConfig(clip_range=0)
