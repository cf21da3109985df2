"""PEARL: it infers the task, learns off-policy, and goes on bit for bit."""

import dataclasses
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import probe
import pytest
from gymnax.environments import spaces

import envs
import experiments
from envs.tasks import NumberedTask, TaskDistribution, numbered
from envs.wrappers import WithNumberedTasks
from experiments.experiment import check
from experiments.run_directory import RunDirectory
from metarl_jax import training
from metarl_jax.algorithms import PearlConfig, make
from metarl_jax.checkpoints import Checkpoints
from metarl_jax.conditioning import Concatenation, Film, Hypernetwork
from metarl_jax.distributions import DiagonalGaussian
from metarl_jax.networks import NetworkConfig
from metarl_jax.posterior_sampling import (
    EMBEDDINGS,
    collect_by_posterior,
    context_vectors,
)
from metarl_jax.task_axis import TaskAxis
from metarl_jax.types import Policy

POLICY = NetworkConfig((16, 16), "relu", state_dependent_std=True, squash=True)
CRITIC = NetworkConfig((16, 16), "relu")
ENCODER = NetworkConfig((16,), "relu", state_dependent_std=True, initial_std=2.0)
SMALL = {"policy": POLICY, "critic": CRITIC, "encoder": ENCODER, "embedding_size": 2}
SMALL |= {"num_updates": 2, "meta_batch": 2, "batch_size": 4, "context_size": 4}
SMALL |= {"replay_capacity": 100}


class Target:
    """One step; the reward is minus the distance of the action to the task's target."""

    observation_space = spaces.Box(-1.0, 1.0, (1,))
    action_space = spaces.Box(-1.0, 1.0, (1,))
    horizon = 1

    def reset(self, key, task):
        return jnp.ones(1), ()

    def step(self, key, state, action, task):
        reward = -jnp.abs(action[0] - task)
        return jnp.ones(1), (), reward, jnp.array(True), jnp.array(False), {}


def either_side(key):
    return jnp.where(jax.random.bernoulli(key), 0.8, -0.8)


TARGET = WithNumberedTasks(Target(), 8)
TARGETS = numbered(TaskDistribution(either_side, either_side), 8)


LEARNING = PearlConfig(
    **SMALL
    | {"num_updates": 60, "meta_batch": 8, "batch_size": 16, "context_size": 8}
    | {"learning_rate": 3e-3, "reward_scale": 1.0, "initial_temperature": 0.1},
    num_adaptation_steps=1,
    num_episodes=4,
    kl_weight=0.01,
)


@cache
def program():
    """Two seeds at the start, and a compiled function of ten iterations more."""
    axis = TaskAxis()
    algorithm = make(TARGET, LEARNING, axis)
    step = training.meta_step(algorithm, TARGETS.train, axis, num_tasks=4)
    ten = lambda state: jax.lax.scan(lambda state, _: step(state), state, length=10)
    start = training.initial_state(algorithm, training.TrainingConfig(num_seeds=2))
    return start, jax.jit(lambda state: axis.over_seeds(ten, state)[0])


@cache
def halfway():
    """The state after ten iterations."""
    start, train = program()
    return train(start)


@cache
def trained():
    """The state after twenty iterations."""
    _, train = program()
    return train(halfway())


def test_pearl_learns_to_step_to_either_side():
    """No policy that does not know the task returns more than -0.8."""
    algorithm = make(TARGET, LEARNING, TaskAxis())
    params = jax.tree.map(lambda leaf: leaf[0], trained().train_state.params)
    tasks = NumberedTask(jnp.array([0.8, -0.8]), jnp.array([-1, -1]))
    keys = jax.random.split(jax.random.key(3), (50, 2))
    adapt = jax.vmap(jax.vmap(algorithm.adapt, (0, None, 0)), (0, None, None))
    reward = jax.jit(adapt)(keys, params, tasks).reward
    before, after = reward.mean(axis=(0, 1, 3, 4))
    assert before < -0.75
    assert after > -0.3


def raw(state):
    """The leaves, as arrays of numbers."""
    state = state._replace(key=jax.random.key_data(state.key))
    return list(map(np.asarray, jax.tree.leaves(state)))


def test_run_goes_on_bit_for_bit_with_its_replay(tmp_path):
    start, train = program()
    Checkpoints(tmp_path).save(10, halfway())
    restored = Checkpoints(tmp_path).restore(start)
    types = lambda state: jax.tree.map(jax.typeof, state)
    assert types(restored) == types(halfway())  # else it is compiled again
    resumed = train(restored)
    # 20 iterations of 4 tasks, trials of 2 stages with 4 rows of one step
    assert resumed.train_state.replay.count.sum(1).tolist() == [20 * 4 * 8] * 2
    for leaf, other in zip(raw(trained()), raw(resumed), strict=True):
        assert leaf.tobytes() == other.tobytes()


def test_seeds_side_by_side_do_not_know_of_each_other():
    start, train = program()
    swapped = train(jax.tree.map(lambda leaf: leaf[::-1], start))
    for leaf, other in zip(raw(halfway()), raw(swapped), strict=True):
        np.testing.assert_array_equal(leaf, other[::-1])
    actions = halfway().train_state.replay.entries.action
    assert not np.allclose(actions[0], actions[1])


NAMED = {"context_reward": "sparse_reward", "critic_reward": "dense_reward"}


def half_circle_config(**options):
    sizes = {"num_episodes": 3, "num_updates": 1}
    return PearlConfig(**SMALL | sizes | NAMED | options)


def half_circle_env():
    """With six goals to train on, and the distribution of these."""
    env, tasks = envs.make("point_half_circle", horizon=5)
    return WithNumberedTasks(env, 6), numbered(tasks, 6)


@cache  # one algorithm is compiled once
def half_circle(**options):
    """The algorithm, and four tasks, two of them alike."""
    env, tasks = half_circle_env()
    config = half_circle_config(**options)
    batch = jax.vmap(tasks.train)(jax.random.split(jax.random.key(1), 4))
    batch = batch._replace(number=jnp.array([2, 0, 2, 5]))
    return make(env, config, TaskAxis()), batch


@cache
def collected():
    """The algorithm, its first state, and trials in four tasks."""
    algorithm, tasks = half_circle()
    state = jax.jit(algorithm.init)(jax.random.key(0))
    collect = jax.vmap(algorithm.collect, in_axes=(0, None, 0))
    keys = jax.random.split(jax.random.key(2), 4)
    return algorithm, state, jax.jit(collect)(keys, state, tasks)


def updated():
    """The state after an update, and the trials that it was on."""
    return improved()[1], collected()[2]


def test_trials_are_added_to_the_replay_of_their_tasks():
    state, trials = updated()
    assert state.replay.count.tolist() == [45, 0, 90, 0, 0, 45]
    stored = state.replay.entries
    flat = trials.observation[3].reshape(45, 2)
    np.testing.assert_array_equal(stored.observation[5, :45], flat)
    both = jnp.concatenate([trials.action[0], trials.action[2]]).reshape(90, 2)
    np.testing.assert_array_equal(stored.action[2, :90], both)


def test_critics_and_encoder_learn_from_the_rewards_that_they_are_given():
    state, trials = updated()
    dense = trials.metrics["dense_reward"][1].reshape(-1)
    np.testing.assert_array_equal(state.replay.entries.reward[0, :45], dense)
    assert np.all(dense < 0)
    sparse = trials.metrics["sparse_reward"][1, 0].reshape(-1)
    np.testing.assert_array_equal(state.contexts.entries[0, :, -1], sparse)


def test_context_of_a_task_is_the_first_stages_of_its_last_trial():
    state, trials = updated()
    assert state.contexts.capacity == 5 * 3  # T * E: what the prior collected
    newer = trials.observation[2, 0].reshape(15, 2)
    np.testing.assert_array_equal(state.contexts.entries[2, :, :2], newer)
    algorithm, _ = half_circle(num_context_stages=9)
    whole = jax.eval_shape(algorithm.init, jax.random.key(0))
    assert whole.contexts.capacity == 3 * 5 * 3  # there are no more than K + 1 stages


def test_reward_that_the_environment_does_not_report_is_named():
    message = "no reward 'dense' .* it has: dense_reward, reward, sparse_reward(?!,)"
    with pytest.raises(ValueError, match=message):
        algorithm, tasks = half_circle(context_reward="dense")
        params = jax.eval_shape(algorithm.init, jax.random.key(0)).params
        task = jax.tree.map(lambda leaf: leaf[0], tasks)
        jax.eval_shape(algorithm.adapt, jax.random.key(0), params, task)


def test_belief_is_the_prior_first_and_then_the_product_of_all_before():
    algorithm, state, trials = collected()
    trial = jax.tree.map(lambda leaf: leaf[0], trials)
    beliefs = jax.jit(algorithm.beliefs)(state.params, trial)
    assert beliefs.mean.shape == (3, 5, 3, 2)
    np.testing.assert_array_equal(beliefs.mean[0], np.zeros((5, 3, 2)))
    np.testing.assert_array_equal(beliefs.variance[0], np.ones((5, 3, 2)))
    adapted = algorithm.adaptation.init(state.params)
    adapt = jax.jit(algorithm.adaptation.update)
    for stage in range(2):
        rollout = jax.tree.map(lambda leaf, k=stage: leaf[k], trial)
        adapted = adapt(adapted, rollout)
    everywhere = np.broadcast_to(adapted.belief.mean, (5, 3, 2))
    np.testing.assert_allclose(beliefs.mean[2], everywhere, rtol=1e-4, atol=1e-6)


class OtherDenseRewards:
    """The half circle, where another dense reward is reported."""

    def __init__(self, env):
        self._env = env
        self.observation_space = env.observation_space
        self.action_space = env.action_space
        self.horizon = env.horizon
        self.reset = env.reset

    def step(self, *inputs):
        *outcome, info = self._env.step(*inputs)
        return *outcome, info | {"dense_reward": 100.0 - info["dense_reward"]}


def test_dense_rewards_of_a_test_are_not_looked_at():
    """Critics learn from them, in training; neither trials nor beliefs tell of them."""
    algorithm, tasks = half_circle()
    _, state, _ = collected()
    env, _ = envs.make("point_half_circle", horizon=5)
    env = WithNumberedTasks(OtherDenseRewards(env), 6)
    other = make(env, half_circle_config(), TaskAxis())
    task = jax.tree.map(lambda leaf: leaf[0], tasks)
    trial, same = (
        jax.jit(each.adapt)(jax.random.key(4), state.params, task)
        for each in (algorithm, other)
    )
    assert np.all(trial.metrics["dense_reward"] != same.metrics["dense_reward"])
    np.testing.assert_array_equal(trial.action, same.action)
    beliefs = jax.jit(algorithm.beliefs)
    jax.tree.map(
        np.testing.assert_array_equal,
        beliefs(state.params, trial),
        beliefs(state.params, same),
    )


def test_stages_after_the_first_act_by_draws_from_the_posterior():
    """Of a policy whose action is the embedding."""
    _, state, _ = collected()
    algorithm, tasks = half_circle()
    env, _ = envs.make("point_half_circle", horizon=1)
    env = WithNumberedTasks(env, 6)

    def act(params, observation, memory):
        return DiagonalGaussian(params["context"], jnp.full(2, -10.0)), memory

    policy = Policy(lambda key: None, act)
    task = jax.tree.map(lambda leaf: leaf[0], tasks)
    drawn = EMBEDDINGS["sampled"]
    collect = collect_by_posterior(env, algorithm.adaptation, 1, 2000, policy, drawn)
    trial = jax.jit(collect)(jax.random.key(0), state.params, task)
    beliefs = jax.jit(algorithm.beliefs)(state.params, trial)
    for stage in range(2):
        actions, belief = trial.action[stage, 0], beliefs.mean[stage, 0, 0]
        deviation = np.sqrt(beliefs.variance[stage, 0, 0])
        margin = 5 * deviation / np.sqrt(2000)
        np.testing.assert_array_less(np.abs(actions.mean(axis=0) - belief), margin)
        np.testing.assert_allclose(actions.std(axis=0), deviation, rtol=0.1)
    assert np.all(deviation < 0.5)


@cache
def improved(**options):
    """The first state, and that after one step on the trials of `collected`."""
    _, state, trials = collected()
    config = half_circle_config(**options)
    return state, probe.compiled(update, config)(state, trials)


def update(config, state, trials):
    algorithm = make(half_circle_env()[0], config, TaskAxis())
    return algorithm.update(jax.random.key(3), state, trials)[0]


def test_target_critics_go_a_part_of_the_way_to_the_critics():
    before, after = improved(target_step_size=0.25)
    expected = jax.tree.map(
        lambda old, new: 0.75 * np.asarray(old) + 0.25 * np.asarray(new),
        before.target_critics,
        after.params.critics,
    )
    close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7)
    jax.tree.map(close, after.target_critics, expected)
    assert probe.relative_error(after.target_critics, before.target_critics) > 1e-5


def test_divergence_from_the_prior_moves_the_encoder_alone():
    _, free = improved(kl_weight=0.0)
    _, bound = improved(kl_weight=10.0)
    assert probe.relative_error(bound.params.encoder, free.params.encoder) > 1e-4
    for name in ("policy", "critics", "log_temperature"):
        of_both = (getattr(state.params, name) for state in (free, bound))
        jax.tree.map(np.testing.assert_array_equal, *of_both)


def test_without_sampling_the_updates_are_others():
    rate = {"learning_rate": 3e-3}
    _, sampled = improved(**rate)
    _, by_mean = improved(**rate, training_embedding="mean")
    change = jax.tree.map(
        lambda a, b: np.abs(a - b).max(), sampled.params, by_mean.params
    )
    assert max(jax.tree.leaves(change.policy)) > 1e-4
    assert max(jax.tree.leaves(change.critics)) > 1e-4


def test_without_sampling_training_explores_by_the_mean_of_the_belief():
    _, state, _ = collected()
    algorithm, tasks = half_circle(training_embedding="mean")
    task = jax.tree.map(lambda leaf: leaf[0], tasks)
    explored = jax.jit(algorithm.explore)(jax.random.key(5), state, task)
    env, mean = half_circle_env()[0], EMBEDDINGS["mean"]
    by_mean = collect_by_posterior(
        env, algorithm.adaptation, 2, 3, algorithm.policy, mean
    )
    expected = jax.jit(by_mean)(jax.random.key(5), state.params, task)
    np.testing.assert_allclose(explored.action, expected.action, atol=1e-6)


def test_adapted_policy_acts_by_the_mean_of_the_belief():
    algorithm, state, trials = collected()
    rollout = jax.tree.map(lambda leaf: leaf[0, 0], trials)
    adapt = jax.jit(algorithm.adaptation.update)
    adapted = adapt(algorithm.adaptation.init(state.params), rollout)
    np.testing.assert_array_equal(adapted.params["context"], adapted.belief.mean)
    assert np.all(adapted.belief.variance < 1)


@pytest.mark.parametrize("embedding, differ", [("sampled", True), ("mean", False)])
def test_rows_of_a_stage_differ_by_their_sampled_embeddings_alone(embedding, differ):
    """At test time the most likely actions are taken, and nothing else is random."""
    algorithm, tasks = half_circle(embedding=embedding, num_adaptation_steps=1)
    task = jax.tree.map(lambda leaf: leaf[0], tasks)
    _, state, _ = collected()
    adapt = jax.jit(algorithm.adapt)
    actions = adapt(jax.random.key(4), state.params, task).action
    assert np.any(actions != actions[:, :, :1]) == differ


def test_training_explores_with_noise():
    """By other embeddings alone the first actions, all at the origin, hardly differ."""
    _, _, trials = collected()
    first = trials.action[:, 0, 0].reshape(-1, 2)
    assert np.all(np.std(first, axis=0) > 0.3)


def test_encoder_reads_what_it_is_told_to():
    data = probe.rollout([[1.0, 2.0], [3.0, 4.0]], observation=np.ones((2, 2, 3)))
    data = data._replace(action=jnp.zeros((2, 2, 2)), metrics={"bonus": -data.reward})
    vectors = context_vectors(data, ("reward", "next_observation"), "bonus")
    np.testing.assert_array_equal(vectors[:, 0], [-1, -2, -3, -4])
    assert vectors.shape == (4, 1 + 3)


def test_unnumbered_tasks_are_refused():
    with pytest.raises(ValueError, match="set num_training_tasks"):
        make(Target(), PearlConfig(), TaskAxis())


@pytest.mark.parametrize("field", ["replay_capacity", "num_episodes"])
def test_data_that_would_not_fit_are_refused(field):
    """Those of the critics, and those of the encoder, which are of whole trials."""
    with pytest.raises(ValueError, match="of each seed take .* GB.* lower replay_cap"):
        make(TARGET, PearlConfig(**{field: 10**9}), TaskAxis())


@pytest.mark.parametrize(
    "options, message",
    [
        ({"num_adaptation_steps": -1}, "num_adaptation_steps must be 0 or more"),
        ({"context_size": 0}, "context_size must be above 0"),
        ({"discount": 1.5}, "discount must be between 0 and 1"),
        ({"kl_weight": -1.0}, "kl_weight must be 0 or more"),
        ({"embedding": "best"}, "embedding must be of sampled, mean, not best"),
        ({"training_embedding": ""}, "training_embedding must be of sampled, mean"),
        ({"context_inputs": ("reward", "goal")}, "context_inputs must be of"),
        ({"policy": NetworkConfig()}, "policy.squash must be True"),
    ],
)
def test_value_out_of_range_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        PearlConfig(**options)


@pytest.mark.parametrize(
    "conditioning", [Concatenation(), Film(), Hypernetwork()], ids=type
)
def test_configuration_of_a_run_comes_back(tmp_path, conditioning):
    experiment = experiments.load("pearl_point_half_circle")
    algorithm = dataclasses.replace(experiment.algorithm, conditioning=conditioning)
    experiment = dataclasses.replace(experiment, algorithm=algorithm)
    directory = RunDirectory(tmp_path)
    directory.record("pearl_point_half_circle", experiment)
    assert directory.load() == ("pearl_point_half_circle", experiment)


@pytest.mark.parametrize("conditioning", [Film(), Hypernetwork()], ids=type)
def test_policy_and_critics_take_the_embedding_by_any_conditioning(conditioning):
    algorithm, tasks = half_circle(conditioning=conditioning)
    state = jax.eval_shape(algorithm.init, jax.random.key(0))
    collect = jax.vmap(algorithm.collect, in_axes=(0, None, 0))
    keys = jax.random.split(jax.random.key(2), 4)
    trials = jax.eval_shape(collect, keys, state, tasks)
    after, _ = jax.eval_shape(algorithm.update, jax.random.key(3), state, trials)
    assert jax.tree.structure(after) == jax.tree.structure(state)


def test_experiments_of_pearl_are_valid():
    for name in ("pearl_point_half_circle", "pearl_half_cheetah_velocity"):
        check(experiments.load(name))
