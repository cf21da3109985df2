"""RL^2: it learns to explore and to exploit, in bounded memory, by PPO and by TRPO."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import probe
import pytest

import envs
from envs.bernoulli_bandit import BernoulliBandit
from metarl_jax import training
from metarl_jax.algorithms import Rl2Config, make
from metarl_jax.sequence_models import GruConfig
from metarl_jax.task_axis import TaskAxis
from metarl_jax.trial_optimizers import TrialProximalConfig, TrialTrustRegionConfig

PPO = TrialProximalConfig(
    learning_rate=3e-3, num_epochs=4, num_minibatches=2, entropy_coefficient=0.003
)
TRPO = TrialTrustRegionConfig(max_kl=0.01, damping=1e-3)
SMALL = {"num_adaptation_steps": 1, "memory": GruConfig(8)}


def learning_curve(config, env, sample_task, num_tasks, num_iterations):
    """The mean return of whole trials in each iteration."""
    axis = TaskAxis()
    algorithm = make(env, config, axis)
    step = training.meta_step(algorithm, sample_task, axis, num_tasks)
    start = training.initial_state(algorithm, training.TrainingConfig())
    *_, (_, metrics) = training.train(step, start, axis, num_iterations, num_iterations)
    return metrics["return"][0].sum(-1)


def test_rl2_nears_the_bayes_optimal_return_of_two_arms():
    """Of 5 pulls of two arms: random 2.5, the Bayes-optimal agent 3.13."""
    env, tasks = envs.make("bernoulli_bandit", num_arms=2, horizon=5)
    config = Rl2Config(0, memory=GruConfig(16), discount=1.0, outer=PPO)
    returns = learning_curve(config, env, tasks.train, 256, 120)
    assert returns[0] < 2.7
    assert returns[-20:].mean() > 3.0


def opposite_arms(key):
    """One arm always pays and the other never does."""
    return jax.nn.one_hot(jax.random.randint(key, (), 0, 2), 2)


@pytest.mark.parametrize("outer", [PPO, TRPO], ids=["ppo", "trpo"])
def test_what_an_episode_teaches_is_used_in_the_next(outer):
    """One pull an episode, four episodes: at best 0.5 + 3, at random 2."""
    config = Rl2Config(3, memory=GruConfig(8), discount=1.0, outer=outer)
    returns = learning_curve(config, BernoulliBandit(2, 1), opposite_arms, 64, 60)
    assert returns[:2].mean() < 2.4
    assert returns[-5:].mean() > 3.3


@cache
def updated(outer, segment_length=None):
    """Parameters before and after an update on long trials, metrics, temporaries."""
    env, tasks = envs.make("bernoulli_bandit", num_arms=3, horizon=100)
    memory = GruConfig(8, segment_length)
    algorithm = make(env, Rl2Config(1, memory=memory, outer=outer), TaskAxis())
    state = algorithm.init(jax.random.key(0))
    keys = jax.random.split(jax.random.key(1), 8)
    collect = jax.vmap(lambda key: algorithm.adapt(key, state.params, tasks.train(key)))
    trials = probe.quick_jit(collect)(keys)
    update = jax.jit(algorithm.update).lower(keys[0], state, trials).compile()
    memory = update.memory_analysis().temp_size_in_bytes
    return state.params, *update(keys[0], state, trials), memory


def test_trust_region_holds_the_policy_and_improves_it():
    _, _, metrics, _ = updated(TRPO)
    assert 0 < metrics["kl"] <= TRPO.max_kl
    assert metrics["loss_improvement"] > 0
    assert metrics["value_loss"] > 0


def test_trust_region_leaves_the_value_function_to_its_own_memory():
    before, state, _, _ = updated(TRPO)
    assert set(before) == {"memory", "action"}
    assert set(state.optimizer_state.value_params) == {"memory", "value"}


def test_segments_learn_the_same_in_less_memory():
    _, whole, _, memory = updated(PPO)
    _, parts, _, less = updated(PPO, segment_length=10)
    assert probe.relative_error(parts.params, whole.params) < 1e-2
    assert less < 0.6 * memory


def test_trial_is_consecutive_episodes_of_several_lives():
    env, tasks = envs.make("tabular_mdp", horizon=4)
    algorithm = make(env, Rl2Config(2, num_episodes=3, memory=GruConfig(4)), TaskAxis())
    state = algorithm.init(jax.random.key(0))
    key = jax.random.key(1)
    trial = probe.quick_jit(algorithm.adapt)(key, state.params, tasks.train(key))
    assert trial.reward.shape == (3, 4, 3)
    starts = jnp.argmax(trial.observation[:, 0], axis=-1)
    np.testing.assert_array_equal(starts, np.zeros((3, 3)))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"num_adaptation_steps": -1}, "num_adaptation_steps must be 0 or more"),
        ({"num_episodes": 0}, "num_episodes must be above 0"),
        ({"discount": 1.5}, "discount must be between 0 and 1"),
        ({"trace_decay": -0.5}, "trace_decay must be between 0 and 1"),
    ],
)
def test_value_out_of_range_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Rl2Config(**options)
