"""VariBAD: it infers, explores and exploits; what learns from what; runs go on."""

import dataclasses
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import probe
import pytest

import envs
from metarl_jax import training
from metarl_jax.algorithms import VaribadConfig, make
from metarl_jax.belief_learning import BeliefLearningConfig
from metarl_jax.belief_policies import (
    hyper_state,
    hyper_state_networks,
    with_hyper_states,
    without_time,
)
from metarl_jax.beliefs import standard_belief
from metarl_jax.checkpoints import Checkpoints
from metarl_jax.exploration_bonus import ExplorationBonusConfig
from metarl_jax.exploring_rewards import Experience, rewards_with_bonus
from metarl_jax.networks import NetworkConfig
from metarl_jax.random_distillation import DistillationConfig
from metarl_jax.reward_likelihoods import TwoValued
from metarl_jax.rollouts import collect_lives
from metarl_jax.sequence_models import GruConfig
from metarl_jax.task_axis import TaskAxis
from metarl_jax.trial_autoencoder import AutoencoderConfig, trial_autoencoder
from metarl_jax.trial_credit import Horizon
from metarl_jax.trial_decoder import DecoderConfig
from metarl_jax.trial_optimizers import TrialProximalConfig, TrialTrustRegionConfig

NETWORK = NetworkConfig((16,))
PPO = TrialProximalConfig(
    learning_rate=1e-2, num_epochs=4, num_minibatches=2, entropy_coefficient=0.003
)
AUTOENCODER = AutoencoderConfig(
    embedding_size=2,
    kl_weight=0.1,
    input_sizes=(16,),
    memory=GruConfig(16),
    decoder=DecoderConfig((16,), num_features=4, likelihood=TwoValued(0.0, 1.0)),
)
LEARNING = BeliefLearningConfig(
    learning_rate=1e-2, num_minibatches=8, batch_size=32, buffer_size=256
)
CONFIG = VaribadConfig(
    num_adaptation_steps=3,
    autoencoder=AUTOENCODER,
    belief_learning=LEARNING,
    network=NETWORK,
    discount=1.0,
    outer=PPO,
)
BONUS = ExplorationBonusConfig(
    anneal_iterations=5,
    distillation=DistillationConfig(hidden_sizes=(8,), num_outputs=4),
)
UNPAID = dataclasses.replace(BONUS, novelty_weight=0.0, surprise_weight=0.0)
ENV, _ = envs.make("bernoulli_bandit", num_arms=2, horizon=1)


def opposite_arms(key):
    """One arm always pays and the other never does."""
    return jax.nn.one_hot(jax.random.randint(key, (), 0, 2), 2)


def program(config, num_tasks=64):
    axis = TaskAxis()
    algorithm = make(ENV, config, axis)
    return (
        axis,
        algorithm,
        training.meta_step(algorithm, opposite_arms, axis, num_tasks),
    )


@cache
def learned():
    """An algorithm, its state after training, and the returns of each iteration."""
    axis, algorithm, step = program(CONFIG)
    start = training.initial_state(algorithm, training.TrainingConfig())
    *_, (state, metrics) = training.train(step, start, axis, 60, 60)
    return algorithm, state.train_state, metrics["return"][0]


def test_what_an_episode_teaches_is_used_in_the_next():
    """One pull an episode, four episodes: at best 0.5 + 3, at random 2."""
    _, _, returns = learned()
    assert returns[:2].sum(-1).mean() < 2.4
    assert returns[-5:].sum(-1).mean() > 3.3


def test_belief_remembers_what_was_pulled():
    """Of an arm that is never pulled nothing is learned, also in training."""
    algorithm, state, _ = learned()
    params = jax.tree.map(lambda leaf: leaf[0], state.params)
    nothing = jnp.zeros(ENV.observation_space.shape)

    @jax.jit
    def first_pull(key):
        """The arm, what it paid, and what is expected of it before each pull."""
        trial = algorithm.adapt(key, params, opposite_arms(key))
        arm = trial.action[0, 0, 0]
        embeddings = algorithm.beliefs(params, trial).mean[:, 0, 0]
        expect = lambda each: algorithm.predict_reward(
            params, each, nothing, arm, nothing
        )
        return trial.reward[0, 0, 0], jax.vmap(expect)(embeddings)

    for seed in range(4):
        paid, expected = first_pull(jax.random.key(seed))
        assert 0.1 < expected[0] < 0.9
        np.testing.assert_allclose(expected[1:], np.full(3, paid), atol=0.2)


SHORT = dataclasses.replace(
    CONFIG,
    num_adaptation_steps=1,
    belief_learning=dataclasses.replace(LEARNING, num_minibatches=2, batch_size=4),
)
CURIOUS = dataclasses.replace(SHORT, bonus=BONUS)
TRUST_REGION = dataclasses.replace(
    SHORT, outer=TrialTrustRegionConfig(max_kl=0.01, damping=1e-3)
)


@cache
def updated(config):
    """The update of `config`, the states before and after it, metrics and trials."""
    state = probe.compiled(init, config)()
    trials = probe.compiled(collect, config)(state)
    one_update = probe.compiled(update, config)
    return one_update, state, *one_update(state, trials), trials


def init(config):
    return make(ENV, config, TaskAxis()).init(jax.random.key(0))


def collect(config, state):
    """Trials in eight tasks."""
    algorithm = make(ENV, config, TaskAxis())
    trial = lambda key: algorithm.collect(key, state, opposite_arms(key))
    return jax.vmap(trial)(jax.random.split(jax.random.key(1), 8))


def update(config, state, trials):
    return make(ENV, config, TaskAxis()).update(jax.random.key(2), state, trials)


def test_what_the_policy_learns_does_not_reach_the_encoder():
    """Neither by which optimiser, nor from what rewards."""
    _, before, plain, *_ = updated(TRUST_REGION)
    _, _, curious, *_ = updated(CURIOUS)
    learned = plain.params.autoencoder
    assert probe.relative_error(learned, before.params.autoencoder) > 1e-3
    assert probe.relative_error(curious.params.autoencoder, learned) < 1e-6
    actions = (state.params.policy["action"] for state in (plain, curious))
    assert probe.relative_error(*actions) > 1e-3


def test_policy_learns_from_bonuses_unless_they_weigh_nothing():
    _, before, plain, *_ = updated(SHORT)
    _, _, curious, *_ = updated(CURIOUS)
    _, _, unpaid, *_ = updated(dataclasses.replace(CURIOUS, bonus=UNPAID))
    assert probe.relative_error(plain.params.policy, before.params.policy) > 1e-3
    assert probe.relative_error(curious.params.policy, plain.params.policy) > 1e-3
    assert probe.relative_error(unpaid.params.policy, plain.params.policy) < 1e-6


def test_bonus_is_refused_in_trials_of_one_step():
    """It is for what a step leads to, and nothing acts on that."""
    config = dataclasses.replace(CURIOUS, num_adaptation_steps=0)
    with pytest.raises(ValueError, match="a trial has but one step"):
        make(ENV, config, TaskAxis())


def test_bonus_changes_rewards_of_learning_and_not_those_that_are_stored():
    *_, plain, trials = updated(TRUST_REGION)
    _, _, curious, metrics, same = updated(CURIOUS)
    assert metrics["novelty_bonus"] > 0 and metrics["surprise_bonus"] > 0
    assert {name for name in plain if "bonus" in name or "novelty" in name} == set()
    np.testing.assert_array_equal(trials.reward, same.reward)
    stored = curious.beliefs.buffer.entries.reward[0, :8]
    np.testing.assert_array_equal(stored, trials.reward.reshape(8, 2))


def test_no_bonus_is_paid_after_the_end_of_an_episode():
    env, tasks = envs.make("bernoulli_bandit", num_arms=2, horizon=3)
    autoencoder = trial_autoencoder(env, AUTOENCODER, 6)
    horizon = Horizon(1.0, 1.0, 6)
    exploring = rewards_with_bonus(env, autoencoder, BONUS, 2, horizon, TaskAxis())
    config = dataclasses.replace(SHORT, bonus=BONUS)
    algorithm = make(env, config, TaskAxis())

    @jax.jit
    def bonus(key):
        state = algorithm.init(key)
        lived = lambda key: algorithm.collect(key, state, tasks.train(key))
        trials = jax.vmap(lived)(jax.random.split(key, 8))
        over_at_once = trials.terminated.at[:, 0, 0].set(True)
        trials = trials._replace(terminated=over_at_once)
        beliefs = jax.vmap(lambda trial: algorithm.beliefs(state.params, trial))(trials)
        states = jax.vmap(with_hyper_states)(trials, beliefs).observation
        known = Experience(trials, beliefs, states)
        params = state.params.autoencoder
        reward, _, _ = exploring.update(key, params, exploring.init(key), known)
        return reward - trials.reward

    paid = np.abs(bonus(jax.random.key(0))).max(axis=(0, 3)) > 1e-6
    np.testing.assert_array_equal(paid, [[True, False, False], [True, True, False]])


def test_time_alone_makes_nothing_new():
    """The network that gets used to hyper-states reads observation and belief."""
    belief = standard_belief(2)
    early, late = (hyper_state(jnp.ones(3), belief, jnp.array(t)) for t in (0.1, 0.9))
    np.testing.assert_array_equal(without_time(early), without_time(late))
    assert without_time(early).shape == (3 + 2 * 2,)
    _, _, curious, _, _ = updated(CURIOUS)
    num_inputs = ENV.observation_space.shape[0] + 2 * AUTOENCODER.embedding_size
    assert curious.bonus.distillation.inputs.mean.shape == (num_inputs,)


def test_policy_may_be_improved_within_a_trust_region():
    _, before, after, metrics, _ = updated(TRUST_REGION)
    assert 0 < metrics["kl"] <= 0.01
    assert set(after.params.policy) == {"action"}
    assert probe.relative_error(after.params.policy, before.params.policy) > 0


def test_no_more_lives_are_stored_than_was_said():
    _, _, after, _, trials = updated(TRUST_REGION)
    buffer = after.beliefs.buffer
    assert buffer.count[0] == len(trials.reward) == 8
    assert buffer.entries.reward.shape == (1, 256, 2)
    assert not np.any(buffer.entries.reward[0, 8:])


def test_lives_that_are_stored_are_of_as_many_tasks_as_can_be():
    """Of 8 tasks with 3 lives each the first life of all, then the second of two."""
    learning = dataclasses.replace(SHORT.belief_learning, num_stored=10)
    config = dataclasses.replace(SHORT, num_episodes=3, belief_learning=learning)
    _, _, after, _, trials = updated(config)
    stored = after.beliefs.buffer.entries.action[0, :10]
    pulled = jax.nn.one_hot(trials.action, 2).reshape(8, 2, 3, 2)
    np.testing.assert_array_equal(stored[:8], pulled[:, :, 0])
    np.testing.assert_array_equal(stored[8:], pulled[:2, :, 1])
    assert after.beliefs.buffer.count[0] == 10


def test_beliefs_of_a_trial_are_those_that_were_acted_on():
    env, tasks = envs.make("grid_navi", size=3, horizon=4)
    config = dataclasses.replace(CONFIG, num_adaptation_steps=1, num_episodes=3)
    algorithm = make(env, config, TaskAxis())

    @jax.jit
    def both(key):
        params = algorithm.init(key).params
        louder = lambda leaf: 30 * leaf
        action = jax.tree.map(louder, params.policy["action"])
        params = params._replace(policy=params.policy | {"action": action})
        trial = collect_lives(
            key, env, algorithm.policy, params, tasks.train(key), 2, 3
        )
        hyper_trial = with_hyper_states(trial, algorithm.beliefs(params, trial))
        networks = hyper_state_networks(env, NETWORK, 2)
        actions = networks.action(params.policy, hyper_trial.observation)
        recomputed = actions.log_prob(trial.action)
        return trial.log_prob, recomputed

    acted, recomputed = both(jax.random.key(0))
    assert acted.shape == (2, 4, 3) and np.std(acted) > 0.01
    np.testing.assert_allclose(acted, recomputed, rtol=1e-4, atol=1e-5)


def test_state_that_was_saved_goes_on_bit_for_bit(tmp_path):
    """With the buffer, the bonus and the optimisers."""
    one_update, before, state, _, trials = updated(CURIOUS)
    Checkpoints(tmp_path).save(1, state)
    restored = Checkpoints(tmp_path).restore(jax.tree.map(jnp.zeros_like, before))
    whole, resumed = (one_update(each, trials) for each in (state, restored))
    assert jax.tree.structure(whole) == jax.tree.structure(resumed)
    jax.tree.map(np.testing.assert_array_equal, whole, resumed)


def test_buffer_that_would_not_fit_is_refused():
    learning = dataclasses.replace(LEARNING, buffer_size=10**9)
    with pytest.raises(ValueError, match="of each seed take .* lower buffer_size"):
        make(ENV, dataclasses.replace(SHORT, belief_learning=learning), TaskAxis())


@pytest.mark.parametrize(
    "config, options, message",
    [
        (VaribadConfig, {"num_adaptation_steps": -1}, "must be 0 or more"),
        (VaribadConfig, {"num_episodes": 0}, "num_episodes must be above 0"),
        (VaribadConfig, {"discount": 1.5}, "discount must be between 0 and 1"),
        (BeliefLearningConfig, {"batch_size": 0}, "batch_size must be above 0"),
        (BeliefLearningConfig, {"buffer_size": 0}, "buffer_size must be above 0"),
    ],
)
def test_value_out_of_range_is_refused(config, options, message):
    with pytest.raises(ValueError, match=message):
        config(**options)
