"""RL^2: it learns to explore and to exploit, in bounded memory, by PPO and by TRPO."""

import dataclasses
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from metarl_jax import training
from metarl_jax.algorithms import Rl2Config, make
from metarl_jax.classical.bandit_values import bayes_optimal_value
from metarl_jax.conditioning import Film, Hypernetwork
from metarl_jax.networks import NetworkConfig
from metarl_jax.sequence_models import GruConfig, SnailConfig
from metarl_jax.tabular_memory import Tabular
from metarl_jax.task_axis import TaskAxis
from metarl_jax.trial_optimizers import TrialProximalConfig, TrialTrustRegionConfig

PPO = TrialProximalConfig(
    learning_rate=3e-3, num_epochs=4, num_minibatches=2, entropy_coefficient=0.003
)
TRPO = TrialTrustRegionConfig(max_kl=0.01, damping=1e-3)


def trained(config, env, sample_task, num_tasks, num_iterations):
    """The algorithm's state after some iterations, and the metrics of each."""
    axis = TaskAxis()
    algorithm = make(env, config, axis)
    step = training.meta_step(algorithm, sample_task, axis, num_tasks)
    start = training.initial_state(algorithm, training.TrainingConfig())
    ((end, metrics),) = training.train(
        step, start, axis, num_iterations, num_iterations
    )
    return end.train_state, {name: value[0] for name, value in metrics.items()}


def trial_returns(metrics):
    """The mean return of whole trials in each iteration."""
    return metrics["return"].sum(-1)


def test_rl2_nears_the_bayes_optimal_return_of_two_arms():
    env, tasks = envs.make("bernoulli_bandit", num_arms=2, horizon=5)
    config = Rl2Config(0, memory=GruConfig(16), discount=1.0, outer=PPO)
    returns = trial_returns(trained(config, env, tasks.train, 1024, 60)[1])
    best = bayes_optimal_value(num_arms=2, num_pulls=5)
    assert returns[0] < 2.7 < 0.98 * best
    assert 0.98 * best < returns[-20:].mean() < 1.01 * best


def opposite_arms(key):
    """One arm always pays and the other never does."""
    return jax.nn.one_hot(jax.random.randint(key, (), 0, 2), 2)


MULTIPLYING = {"embedding_activation": "bilinear", "conditioning": Hypernetwork()}
OVER_TASKS = dataclasses.replace(PPO, normalized_over="tasks")
TABULAR = {"conditioning": Tabular(), "head": NetworkConfig((8,))}
OPTIONS = {
    "ppo": {"outer": PPO},
    "trpo": {"outer": TRPO},
    "multiplying": {"outer": PPO} | MULTIPLYING,
    "tabular": {"outer": PPO} | TABULAR,
    "regret": {"outer": OVER_TASKS, "credit": "regret", "trace_decay": 1.0},
}


@cache
def trained_on_opposite_arms(name):
    """One pull an episode, four episodes: at best 0.5 + 3, at random 2."""
    env, _ = envs.make("bernoulli_bandit", num_arms=2, horizon=1)
    config = Rl2Config(3, memory=GruConfig(8), discount=1.0, **OPTIONS[name])
    return trained(config, env, opposite_arms, 64, 60)


@pytest.mark.parametrize("name", OPTIONS)
def test_what_an_episode_teaches_is_used_in_the_next(name):
    returns = trial_returns(trained_on_opposite_arms(name)[1])
    assert returns[:2].mean() < 2.4
    assert returns[-5:].mean() > 3.3


def test_trust_region_holds_the_policy_and_improves_it():
    _, metrics = trained_on_opposite_arms("trpo")
    assert np.all(metrics["kl"] <= TRPO.max_kl)
    first = {name: value[0] for name, value in metrics.items()}
    assert first["kl"] > 0
    assert first["loss_improvement"] > 0
    assert first["value_loss"] > 0


def test_trust_region_leaves_the_value_function_to_its_own_memory():
    state, _ = trained_on_opposite_arms("trpo")
    assert set(state.params) == {"memory", "action"}
    assert set(state.optimizer_state.value_params) == {"memory", "value"}


def bytes_of_update(num_tasks, num_pulls):
    """Temporary memory of an update on one minibatch of all trials; runs nothing."""
    env, tasks = envs.make("bernoulli_bandit", num_arms=5, horizon=num_pulls)
    outer = TrialProximalConfig(num_minibatches=1)
    config = Rl2Config(0, memory=GruConfig(16), outer=outer)
    algorithm = make(env, config, TaskAxis())

    def inputs(key):
        state = algorithm.init(key)
        trial = lambda key: algorithm.adapt(key, state.params, tasks.train(key))
        return key, state, jax.vmap(trial)(jax.random.split(key, num_tasks))

    shapes = jax.eval_shape(inputs, jax.random.key(0))
    compiled = jax.jit(algorithm.update).lower(*shapes).compile()
    return compiled.memory_analysis().temp_size_in_bytes


def test_memory_of_an_update_grows_as_the_trial_does():
    short, long = (bytes_of_update(8, num_pulls) for num_pulls in (500, 1000))
    assert long == pytest.approx(2 * short, rel=0.05)
    # 1.25 kB per step and trial, and 1.76 if gates were kept for the gradient
    assert long / (8 * 1000) < 1500


def test_regret_is_learned_from_where_it_is_configured():
    """So that an environment that says none is refused, before anything is compiled."""
    env, tasks = envs.make("point", horizon=4)
    algorithm = make(
        env, Rl2Config(1, memory=GruConfig(4), credit="regret"), TaskAxis()
    )

    def update(key):
        state = algorithm.init(key)
        trial = lambda key: algorithm.adapt(key, state.params, tasks.train(key))
        return algorithm.update(key, state, jax.vmap(trial)(jax.random.split(key, 4)))

    with pytest.raises(ValueError, match="says no regret: set credit to reward"):
        jax.eval_shape(update, jax.random.key(0))


def test_trial_is_consecutive_episodes_of_several_lives():
    env, tasks = envs.make("tabular_mdp", horizon=4)
    algorithm = make(env, Rl2Config(2, num_episodes=3, memory=GruConfig(4)), TaskAxis())

    @jax.jit
    def first_trial(key):
        return algorithm.adapt(key, algorithm.init(key).params, tasks.train(key))

    trial = first_trial(jax.random.key(1))
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
        ({"credit": "debt"}, "credit must be one of reward, regret, not debt"),
        ({"conditioning": Film()}, "Film acts on hidden layers: set head.hidden_"),
        ({"conditioning": Tabular()}, "Tabular acts on hidden layers: set head"),
        (
            TABULAR | {"memory": SnailConfig()},
            "set memory to a GruConfig or LstmConfig",
        ),
    ],
)
def test_value_out_of_range_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Rl2Config(**options)
