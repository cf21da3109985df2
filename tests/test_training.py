"""The outer loop: traced once, the same for every way of chunking, and it learns."""

import dataclasses
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments import spaces

from envs.tasks import NumberedTask
from envs.wrappers import WithNumberedTasks
from metarl_jax import training
from metarl_jax.algorithms import ALGORITHMS, MamlConfig, make
from metarl_jax.networks import NetworkConfig
from metarl_jax.optimizers import AdamConfig, TrustRegionConfig
from metarl_jax.task_axis import TaskAxis
from metarl_jax.types import MetaAlgorithm


class Target:
    """A probe: one step, and the reward is minus the distance to the task's target."""

    observation_space = spaces.Box(-1.0, 1.0, (1,))
    action_space = spaces.Box(-1.0, 1.0, (1,))
    horizon = 1

    def reset(self, key, task):
        return jnp.ones(1), ()

    def step(self, key, state, action, task):
        reward = -jnp.abs(action[0] - task)
        return jnp.ones(1), (), reward, jnp.array(True), jnp.array(False), {}


class CountedTarget(Target):
    """Counts how often its step is traced."""

    def __init__(self):
        self.traces = 0

    def step(self, *arguments):
        self.traces += 1
        return super().step(*arguments)


class DivergingTarget(Target):
    """Every second task diverges, in all of its steps."""

    def step(self, *arguments):
        *outcome, info = super().step(*arguments)
        return *outcome, info | {"diverged": jnp.float32(arguments[-1] > 0)}


def either_side(key):
    return jnp.where(jax.random.bernoulli(key), 0.8, -0.8)


PROBE = MamlConfig(
    num_episodes=64,
    inner_step_sizes=(0.3,),
    network=NetworkConfig(hidden_sizes=(8,), initial_std=0.5),
    outer=AdamConfig(learning_rate=2e-2),
)


class Learner(NamedTuple):
    algorithm: MetaAlgorithm
    step: Callable
    axis: TaskAxis


def learner(config, env=None, axis=None):
    axis = axis or TaskAxis()
    algorithm = make(env or Target(), config, axis)
    step = training.meta_step(algorithm, either_side, axis, num_tasks=8)
    return Learner(algorithm, step, axis)


@cache
def probe_learner():
    """Traces its step once for runs in chunks of all lengths."""
    plain = learner(PROBE)
    return plain._replace(step=jax.jit(plain.step))


def run(learner, num_iterations, chunk=10, num_seeds=1, start=None):
    algorithm, step, axis = learner
    settings = training.TrainingConfig(num_seeds=num_seeds)
    state = start or training.initial_state(algorithm, settings)
    collected = []
    for latest, metrics in training.train(step, state, axis, num_iterations, chunk):
        state = latest
        collected.append(metrics)
    joined = jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), *collected)
    return state, joined


def trust_region_learner():
    return learner(dataclasses.replace(PROBE, outer=TrustRegionConfig(max_kl=0.05)))


@pytest.mark.parametrize("make_learner", [probe_learner, trust_region_learner])
def test_maml_learns_to_step_to_either_side(make_learner):
    """No policy that does not adapt returns more than -0.8, the distance to both."""
    _, metrics = run(make_learner(), 80)
    before = metrics["return"][0, -10:, 0].mean()
    after = metrics["return"][0, -10:, 1].mean()
    assert before < -0.75
    assert after > -0.65


def test_every_algorithm_is_built_from_its_config():
    env = WithNumberedTasks(Target(), 4)
    task = NumberedTask(jnp.array(0.5), jnp.array(0))
    for config_type in ALGORITHMS:
        algorithm = make(env, config_type(num_episodes=2), TaskAxis())
        key = jax.random.key(0)
        params = jax.eval_shape(algorithm.init, key).params
        trial = jax.eval_shape(algorithm.adapt, key, params, task)
        assert trial.reward.shape == (config_type().num_adaptation_steps + 1, 1, 2)


@cache
def of_three_seeds():
    """How often a step was traced, and metrics of six iterations."""
    env = CountedTarget()
    _, metrics = run(learner(PROBE, env), 6, chunk=2, num_seeds=3)
    return env.traces, metrics


@cache
def straight():
    """Twelve iterations in chunks of five, the last of which has two."""
    return run(probe_learner(), 12, chunk=5)


def of_straight(num_iterations):
    """The metrics of its first iterations."""
    return jax.tree.map(lambda leaf: leaf[:, :num_iterations], straight()[1])


def test_step_is_traced_once():
    assert of_three_seeds()[0] == 1


def test_chunks_of_any_length_give_the_same_run():
    state, metrics = run(probe_learner(), 12, chunk=12)
    other_state, other_metrics = straight()
    assert_close(metrics, other_metrics)
    assert_close(state.train_state, other_state.train_state)


def test_seeds_in_one_program_equal_single_runs():
    _, together = of_three_seeds()
    first = {name: value[:1] for name, value in together.items()}
    assert_close(first, of_straight(6))
    assert not np.allclose(together["return"][0], together["return"][1])


def test_tasks_in_chunks_give_the_run_of_all_at_once():
    _, chunked = run(learner(PROBE, axis=TaskAxis(chunk_size=2)), 5)
    assert_close(of_straight(5), chunked)


def test_resuming_from_a_state_continues_the_same_run():
    halfway, _ = run(probe_learner(), 4, chunk=4)
    resumed, _ = run(probe_learner(), 12, chunk=4, start=halfway)
    for left, right in zip(
        jax.tree.leaves(resumed.train_state),
        jax.tree.leaves(straight()[0].train_state),
        strict=True,
    ):
        np.testing.assert_array_equal(left, right)


def assert_close(left, right):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 2e-4, 1e-5), left, right)


def test_simulations_that_diverge_are_counted():
    axis = TaskAxis()
    algorithm = make(DivergingTarget(), PROBE, axis)
    sides = jnp.array([0.8, -0.8])
    task = lambda key: sides[jax.random.randint(key, (), 0, 2)]
    step = training.meta_step(algorithm, task, axis, num_tasks=8)
    state = training.initial_state(algorithm, training.TrainingConfig())
    one_seed = jax.tree.map(lambda leaf: leaf[0], state)
    _, metrics = jax.jit(step)(one_seed)
    in_task = 2 * PROBE.num_episodes  # steps: two stages of episodes of one step
    counted = float(metrics["diverged"])
    assert 0 < counted < 8 * in_task
    assert counted % in_task == 0
