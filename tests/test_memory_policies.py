"""What a policy with a memory knows at each step, acting and learning alike."""

import jax
import jax.numpy as jnp
import numpy as np
import probe
import pytest
from gymnax.environments import spaces

import envs
from envs.point import Point
from metarl_jax.conditioning import Concatenation, Film, Hypernetwork
from metarl_jax.memory_policies import MemoryAlone, trial_memory, trial_networks
from metarl_jax.networks import NetworkConfig
from metarl_jax.recollections import num_inputs
from metarl_jax.rollouts import collect_lives
from metarl_jax.sequence_models import SEQUENCE_MODELS, GruConfig, sequence_model
from metarl_jax.tabular_memory import Tabular
from metarl_jax.types import SequenceModel

COUNTDOWN = probe.Countdown(horizon=4)


class SmallCountdown(probe.Countdown):
    """Numbers that saturate nothing."""

    def step(self, key, state, action, task):
        observation, state, reward, *rest = super().step(key, state, action, task)
        return observation, state, jnp.log10(reward) - action, *rest

    def _observe(self, state):
        return super()._observe(state) / 1e5


SMALL = SmallCountdown(horizon=4)


def transparent(size):
    """A sequence model whose features are its inputs."""
    pass_on = lambda params, inputs, memory: (inputs, memory)
    return SequenceModel(lambda key: {}, (), pass_on, pass_on, size)


def inputs_of(env, trial):
    """What the model reads in each step of a trial: [K+1, T, E, D]."""
    model = transparent(num_inputs(env))
    networks = trial_networks(env, model, len(trial.reward) * env.horizon)
    features = jax.jit(networks.features)({"memory": {}}, trial)
    return features.embedding


def one_life(observation, action, reward, ends):
    """A trial [2, T, 1] from rows of numbers [2, T]."""
    rows = [np.asarray(values)[..., None] for values in (action, reward, ends)]
    trial = probe.rollout(np.zeros((4, 1)))._replace(
        observation=jnp.asarray(observation, float)[..., None, None],
        action=jnp.asarray(rows[0]),
        reward=jnp.asarray(rows[1]),
        truncated=jnp.asarray(rows[2]),
        terminated=jnp.zeros_like(rows[2]),
    )
    return trial._replace(log_prob=jnp.zeros_like(trial.reward))


def test_input_is_what_was_seen_done_and_paid_and_how_much_of_the_trial_is_over():
    trial = one_life(
        observation=[[7, 8, 9, 10], [20, 21, 22, 23]],
        action=[[1, 0, 1, 1], [0, 0, 1, 0]],
        reward=[[0.5, 1.5, 2.5, 3.5], [4.5, 5.5, 6.5, 7.5]],
        ends=[[False, True, False, False], [False, False, False, True]],
    )
    read = inputs_of(COUNTDOWN, trial).reshape(8, -1)
    # observation, the last one, what was done then, one-hot, and paid, whether an
    # episode starts, and how much has elapsed
    expected = [
        [7, 0, 0, 0, 0.0, 1, 0 / 8],
        [8, 7, 0, 1, 0.5, 0, 1 / 8],
        [9, 8, 1, 0, 1.5, 1, 2 / 8],
        [10, 9, 0, 1, 2.5, 0, 3 / 8],
        [20, 10, 0, 1, 3.5, 1, 4 / 8],  # a stage starts with a reset
        [21, 20, 1, 0, 4.5, 0, 5 / 8],
        [22, 21, 1, 0, 5.5, 0, 6 / 8],
        [23, 22, 0, 1, 6.5, 0, 7 / 8],
    ]
    np.testing.assert_allclose(read, expected)


CONDITIONED = Concatenation(), Film(1.0), Hypernetwork(1.0)


@pytest.mark.parametrize("env", [SMALL, Point(horizon=4)], ids=["discrete", "box"])
@pytest.mark.parametrize(
    "kind, conditioning",
    [
        *((kind, MemoryAlone()) for kind in SEQUENCE_MODELS),
        *((GruConfig, conditioning) for conditioning in CONDITIONED),
    ],
    ids=lambda each: getattr(each, "__name__", type(each).__name__),
)
def test_log_probabilities_of_acting_are_those_of_the_unrolled_trial(
    env, kind, conditioning
):
    length = 3 * env.horizon
    model = sequence_model(probe.SMALL_MODELS[kind], num_inputs(env), length)
    head = NetworkConfig((4,) if isinstance(conditioning, Film) else ())
    networks = trial_networks(env, model, length, head, conditioning)
    task = jnp.int32(3) if env is SMALL else jnp.array([0.1, 0.2])
    assert_acting_is_unrolling(env, networks, task)


def test_log_probabilities_of_a_tabular_memory_are_those_of_the_unrolled_trial():
    mdp, tasks = envs.make("tabular_mdp", num_states=3, horizon=4)
    make_model = lambda size: sequence_model(GruConfig(8), size, 12)
    memory = trial_memory(mdp, make_model, Tabular())
    networks = trial_networks(mdp, memory, 12, NetworkConfig((4,)), Tabular())
    assert_acting_is_unrolling(mdp, networks, tasks.train(jax.random.key(5)))


def assert_acting_is_unrolling(env, networks, task):
    @jax.jit
    def both(key):
        params = networks.policy.init(jax.random.key(0))
        params["action"] = jax.tree.map(lambda leaf: 30 * leaf, params["action"])
        trial = collect_lives(key, env, networks.policy, params, task, 3, 2)
        features = networks.features(params, trial)
        recomputed = networks.action(params, features).log_prob(trial.action)
        return trial.log_prob, recomputed

    acted, recomputed = both(jax.random.key(1))
    assert acted.shape == (3, env.horizon, 2)
    assert np.std(acted) > 0.01  # actions are far from equally likely
    np.testing.assert_allclose(recomputed, acted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "conditioning", [MemoryAlone(), Concatenation(), Hypernetwork()]
)
def test_heads_read_the_observation_where_they_are_conditioned(conditioning):
    """The memory is the same at all steps, and observations are not."""
    forgetful = transparent(num_inputs(COUNTDOWN))._replace(
        unroll=lambda params, inputs, memory: (jnp.ones_like(inputs), memory)
    )
    networks = trial_networks(COUNTDOWN, forgetful, 8, conditioning=conditioning)
    params = networks.policy.init(jax.random.key(0)) | networks.init_value(
        jax.random.key(1)
    )
    trial = one_life([[1, 2, 3, 4]] * 2, *np.zeros((3, 2, 4), int))
    inputs = networks.features(params, trial)
    of_steps = (
        networks.action(params, inputs).logits[..., 0],
        networks.value(params, inputs),
    )
    for first, second in of_steps:
        np.testing.assert_allclose(first, second, rtol=1e-5)
        assert (np.ptp(first) > 1e-4) == (conditioning != MemoryAlone())


def test_lives_of_one_task_know_nothing_of_each_other():
    ones, never = np.ones((2, 4), int), np.zeros((2, 4), bool)
    first = one_life(ones, ones, ones, never)
    second = one_life(3 * ones, 0 * ones, 5 * ones, ~never)
    both = jax.tree.map(lambda *lives: jnp.concatenate(lives, axis=2), first, second)
    alone = [inputs_of(COUNTDOWN, life) for life in (first, second)]
    together = inputs_of(COUNTDOWN, both)
    np.testing.assert_array_equal(together, jnp.concatenate(alone, axis=2))


def test_policy_and_value_share_a_memory_only_where_they_are_given_one():
    model = sequence_model(GruConfig(3), num_inputs(COUNTDOWN), 8)
    networks = trial_networks(COUNTDOWN, model, 8)
    policy, value = (
        networks.policy.init(jax.random.key(0)),
        networks.init_value(jax.random.key(1)),
    )
    assert set(policy) == {"memory", "action"}
    assert set(value) == {"memory", "value"}
    assert probe.relative_error(policy["memory"], value["memory"]) > 0.1


def test_continuous_actions_enter_as_they_are():
    env = Point(horizon=2)
    assert isinstance(env.action_space, spaces.Box)
    assert num_inputs(env) == 2 + 2 + 2 + 3
