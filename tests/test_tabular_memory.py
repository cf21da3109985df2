"""A memory for each state and action: who reads what, and that names do not matter."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probe import SMALL_MODELS, relative_error

import envs
from envs.point import Point
from envs.wrappers import TaskInObservation, WithNumberedTasks
from metarl_jax.action_heads import action_heads
from metarl_jax.algorithms import Rl2Config, make
from metarl_jax.memory_policies import trial_memory, trial_networks
from metarl_jax.networks import NetworkConfig
from metarl_jax.recollections import Recollection, as_input, split_input
from metarl_jax.rollouts import collect_lives
from metarl_jax.sequence_models import (
    FastWeightsConfig,
    GruConfig,
    LstmConfig,
    TransformerConfig,
    gru,
    sequence_model,
)
from metarl_jax.tabular_memory import Tabular, tabular_memory
from metarl_jax.task_axis import TaskAxis

NUM_STATES, NUM_ACTIONS = 3, 2
STATES = [0, 2, 1, 0, 2, 2, 2]
ACTIONS = [None, 1, 1, 0, 1, 0, 0]  # before each step
STARTED = [1, 0, 0, 1, 0, 0, 0]
LENGTH = len(STATES)
HEAD = NetworkConfig((5, 3))


def model_of(kind, segment_length=None):
    make_model = lambda size: sequence_model(SMALL_MODELS[kind], size, LENGTH)
    return tabular_memory(NUM_STATES, NUM_ACTIONS, make_model, segment_length)


def others():
    reward = np.random.RandomState(0).normal(size=LENGTH)
    return np.stack([reward, STARTED, np.arange(LENGTH) / LENGTH], axis=1)


def inputs():
    state, none = np.eye(NUM_STATES)[STATES], np.zeros((1, NUM_STATES))
    actions = np.array([np.arange(NUM_ACTIONS) == action for action in ACTIONS])
    last_state = np.concatenate([none, state[:-1]])
    return jnp.concatenate([state, last_state, actions, others()], axis=1)


def by_hand(model, params):
    """The features of each step, from a table of memories."""
    start = model.initial_memory, jnp.zeros(model.num_features)
    table = {(s, a): start for s in range(NUM_STATES) for a in range(NUM_ACTIONS)}
    counts = collections.Counter()
    shared, expected, last_state = model.initial_memory, [], None
    read = lambda state: jnp.stack([table[state, a][1] for a in range(NUM_ACTIONS)])
    pool = lambda rows: jnp.concatenate([rows.mean(axis=0), rows.max(axis=0)])
    for state, action, step in zip(STATES, ACTIONS, others(), strict=True):
        counts[last_state, action] += 1
        event = jnp.append(step, jnp.log(counts[last_state, action]))
        if action is not None:
            successor = pool(read(state)) * (1 - step[1])
            memory, _ = table[last_state, action]
            inputs = jnp.append(event, successor)
            features, memory = model.step(params["pair"], inputs, memory)
            table[last_state, action] = memory, features
        known = pool(read(state))
        inputs = jnp.append(event, known)
        features, shared = model.step(params["shared"], inputs, shared)
        expected.append(jnp.concatenate([features, known, read(state).reshape(-1)]))
        last_state = state
    return expected


@pytest.mark.parametrize("kind", [GruConfig, LstmConfig, TransformerConfig])
def test_each_pair_reads_its_own_steps_and_what_is_known_of_the_next_state(kind):
    model = model_of(kind)
    params = model.init(jax.random.key(0))
    features, _ = jax.jit(model.unroll)(params, inputs(), model.initial_memory)
    assert features.shape == (LENGTH, model.num_features)
    num_own = model.num_features // (3 + NUM_ACTIONS)
    one = sequence_model(SMALL_MODELS[kind], 4 + 2 * num_own, LENGTH)
    np.testing.assert_allclose(features, by_hand(one, params), atol=1e-5)


def test_steps_and_segments_compute_what_the_unrolled_model_does():
    model, in_segments = model_of(GruConfig), model_of(GruConfig, segment_length=3)
    params = model.init(jax.random.key(0))
    memory, by_step = model.initial_memory, []
    step = jax.jit(model.step)
    for each in inputs():
        features, memory = step(params, each, memory)
        by_step.append(features)
    unrolled, _ = jax.jit(model.unroll)(params, inputs(), model.initial_memory)
    np.testing.assert_allclose(unrolled, by_step, atol=1e-6)

    def gradient(model):
        sequence, start = inputs(), model.initial_memory
        loss = lambda params: jnp.sum(model.unroll(params, sequence, start)[0] ** 2)
        return jax.jit(jax.grad(loss))(params)

    whole, parts = gradient(model), gradient(in_segments)
    assert relative_error(parts, whole) < 1e-6
    assert relative_error(jax.tree.map(jnp.zeros_like, whole), whole) == 1


def mdp_networks():
    env, tasks = envs.make("tabular_mdp", num_states=3, num_actions=4, horizon=6)
    memory = trial_memory(env, lambda size: gru(GruConfig(4), size, 12), Tabular())
    return env, tasks, trial_networks(env, memory, 12, HEAD, Tabular())


def test_policy_of_renamed_states_and_actions_is_the_renamed_policy():
    env, tasks, networks = mdp_networks()
    states, actions = jnp.array([2, 0, 1]), jnp.array([2, 0, 3, 1])
    louder = lambda params: jax.tree.map(lambda leaf: 20 * leaf + 0.1, params)

    def renamed(trial):
        observation = jnp.zeros_like(trial.observation)
        observation = observation.at[..., states].set(trial.observation)
        return trial._replace(action=actions[trial.action], observation=observation)

    @jax.jit
    def of_both(init_key, value_key, task_key, key):
        params = networks.policy.init(init_key) | networks.init_value(value_key)
        params |= {name: louder(params[name]) for name in ("action", "value")}
        task = tasks.train(task_key)
        trial = collect_lives(key, env, networks.policy, params, task, 2, 2)
        features = [networks.features(params, each) for each in (trial, renamed(trial))]
        logits = [networks.action(params, each).logits for each in features]
        return logits, [networks.value(params, each) for each in features]

    (logits, of_renamed), values = of_both(*jax.random.split(jax.random.key(0), 4))
    assert np.ptp(logits[1, -1], axis=-1).min() > 1e-3
    np.testing.assert_allclose(of_renamed[..., actions], logits, atol=1e-4)
    assert np.ptp(values[0]) > 1e-3
    np.testing.assert_allclose(values[1], values[0], atol=1e-4)


def test_logit_of_an_action_depends_on_what_others_paid():
    env, _ = envs.make("bernoulli_bandit", num_arms=4, horizon=6)
    memory = trial_memory(env, lambda size: gru(GruConfig(4), size, 6), Tabular())
    networks = trial_networks(env, memory, 6, HEAD, Tabular())

    @jax.jit
    def last_logits(init_key, key):
        params = networks.policy.init(init_key)
        params["action"] = jax.tree.map(lambda leaf: 4 * leaf, params["action"])
        task = jnp.full(4, 0.5)
        trial = collect_lives(key, env, networks.policy, params, task, 1, 1)
        trial = trial._replace(action=jnp.zeros_like(trial.action))
        both = trial, trial._replace(reward=1 - trial.reward)
        features = [networks.features(params, each) for each in both]
        return [networks.action(params, each).logits[0, -1, 0] for each in features]

    before, after = last_logits(*jax.random.split(jax.random.key(0)))
    change = np.abs(after - before)
    assert np.all(change > 1e-5)
    np.testing.assert_allclose(change[1:], change[1], rtol=1e-2)  # never pulled


@pytest.mark.parametrize(
    "env, message",
    [
        (Point(horizon=2), "Tabular takes discrete actions: set conditioning to ano"),
        (envs.make("cartpole")[0], "takes one-hot observations of a finite number"),
        (envs.make("grid_navi")[0], "takes one-hot observations of a finite number"),
        (TaskInObservation(*envs.make("tabular_mdp")), "or observe_task .* to False"),
    ],
    ids=["continuous actions", "continuous states", "coordinates", "task"],
)
def test_what_cannot_be_counted_is_refused_in_one_line(env, message):
    config = Rl2Config(conditioning=Tabular(), head=HEAD)
    with pytest.raises(ValueError, match=message):
        make(env, config, TaskAxis())


def test_states_of_numbered_tasks_can_be_counted():
    env = WithNumberedTasks(envs.make("tabular_mdp", num_states=3)[0], 5)
    make(env, Rl2Config(conditioning=Tabular(), head=HEAD), TaskAxis())


@pytest.mark.parametrize(
    "size, head, message",
    [
        (7 * 4, NetworkConfig(()), "Tabular acts on hidden layers: set hidden_sizes"),
        (7 * 4 + 1, HEAD, "takes a memory that trial_memory made for it"),
    ],
)
def test_heads_of_another_memory_are_refused(size, head, message):
    with pytest.raises(ValueError, match=message):
        action_heads(4, size, head)


def test_input_is_split_into_what_was_joined():
    memory = Recollection(*jnp.split(jnp.arange(5.0), [2]), *jnp.arange(5.0, 8.0), ())
    parts = split_input(as_input(jnp.array([8.0, 9.0]), memory, length=14), 2, 3)
    expected = [8, 9], [0, 1], [2, 3, 4], [5, 6, 0.5]
    jax.tree.map(
        np.testing.assert_allclose, tuple(parts), tuple(map(np.array, expected))
    )


def test_memory_whose_features_hold_its_inputs_is_refused_in_one_line():
    with pytest.raises(
        ValueError, match="features hold its inputs: set memory to a Gr"
    ):
        model_of(FastWeightsConfig)


def test_pair_of_the_first_step_is_none():
    """Nothing was done before it, so that the table is still blank after it."""
    model = model_of(GruConfig)
    params = model.init(jax.random.key(0))
    _, memory = model.step(params, inputs()[0], model.initial_memory)
    table = memory.pairs, memory.features, memory.count, memory.known
    for leaf in jax.tree.leaves(table):
        np.testing.assert_array_equal(leaf, np.zeros_like(leaf))
