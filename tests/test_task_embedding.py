"""Task embeddings that are told or learned: who reads them, who learns, what adapts."""

import dataclasses
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import probe
import pytest

from envs.point import Point
from envs.tasks import NumberedTask, TaskDistribution
from envs.wrappers import TaskInObservation, WithNumberedTasks
from experiments import task_embedding_point
from experiments.run_directory import RunDirectory
from metarl_jax import training
from metarl_jax.algorithms import TaskEmbeddingConfig, make
from metarl_jax.conditioning import Concatenation, Film, Hypernetwork
from metarl_jax.embedding_sources import LearnedTable, TrueTask, embedding_source
from metarl_jax.networks import NetworkConfig
from metarl_jax.task_axis import TaskAxis
from metarl_jax.trial_optimizers import TrialProximalConfig

GOALS = jnp.array([[0.4, 0.3], [-0.4, 0.2], [0.1, -0.4], [-0.3, -0.3]])
POINT = Point(horizon=15)
NUMBERED = WithNumberedTasks(POINT, len(GOALS))
KEY = jax.random.key(0)


def uniform_goal(key):
    return jax.random.uniform(key, (2,), minval=-0.5, maxval=0.5)


TELLING = TaskInObservation(POINT, TaskDistribution(uniform_goal, uniform_goal))
CONFIG = TaskEmbeddingConfig(
    num_adaptation_steps=2,
    num_episodes=5,
    inner_step_sizes=(0.05,),
    embedding=LearnedTable(size=3),
    discount=0.9,
    network=NetworkConfig(hidden_sizes=(16,), initial_std=0.5),
    outer=TrialProximalConfig(learning_rate=1e-2, num_minibatches=2),
)
TOLD = dataclasses.replace(CONFIG, embedding=TrueTask())


def numbered_goal(key):
    number = jax.random.randint(key, (), 0, len(GOALS))
    return NumberedTask(GOALS[number], number)


# name -> configuration, environment, sampler of training tasks
PROBLEMS = {
    "learned table": (CONFIG, NUMBERED, numbered_goal),
    "true task": (TOLD, TELLING, uniform_goal),
}


@cache
def trained(name):
    """The algorithm, parameters and the mean return in each iteration."""
    config, env, sample_task = PROBLEMS[name]
    axis = TaskAxis()
    algorithm = make(env, config, axis)
    step = training.meta_step(algorithm, sample_task, axis, num_tasks=8)
    iterate = lambda state, _: step(state)
    run = jax.jit(lambda state: jax.lax.scan(iterate, state, length=40))
    state, metrics = run(training.RunState(started(name)[1], KEY, jnp.array(0)))
    return algorithm, state.train_state.params, metrics["return"][:, 0]


@cache
def started(name):
    config, env, _ = PROBLEMS[name]
    algorithm = make(env, config, TaskAxis())
    return algorithm, jax.jit(algorithm.init)(KEY)


@pytest.mark.parametrize("name", PROBLEMS)
def test_policy_goes_to_the_goal_that_its_embedding_stands_for(name):
    """A point that stays where it starts returns about -6."""
    returns = trained(name)[2]
    assert returns[:3].mean() < -5
    assert returns[-5:].mean() > -1.5


def test_gradient_steps_on_the_embedding_improve_the_return_in_new_tasks():
    algorithm, params, _ = trained("learned table")
    corners = jnp.array([[0.3, 0.3], [-0.3, 0.3], [0.3, -0.3], [-0.3, -0.3]])
    tasks = NumberedTask(corners, jnp.full(4, -1))
    keys = jax.random.split(KEY, (4, 5))
    adapt = lambda key, task: algorithm.adapt(key, params, task)
    over_keys = jax.vmap(adapt, in_axes=(0, None))
    trials = jax.jit(jax.vmap(over_keys))(keys, tasks)
    by_stage = trials.reward.sum(axis=3).mean(axis=(0, 1, 3))
    assert by_stage[-1] > by_stage[0] + 0.5


def test_embedding_of_a_new_task_starts_at_the_mean_and_alone_adapts():
    algorithm, state = started("learned table")
    start = algorithm.adaptation.init(state.params)
    mean = jnp.mean(state.params["table"], axis=0)
    np.testing.assert_allclose(start.params["context"], mean, rtol=1e-6)
    task = NumberedTask(GOALS[0], jnp.int32(-1))
    trial = jax.jit(algorithm.adapt)(KEY, state.params, task)
    rollout = jax.tree.map(lambda leaf: leaf[0], trial)
    after = jax.jit(algorithm.adaptation.update)(start, rollout).params
    assert np.all(after["context"] != start.params["context"])
    jax.tree.map(np.testing.assert_array_equal, after["shared"], state.params["action"])


def collected(tasks):
    algorithm, state = started("learned table")
    collect = jax.vmap(algorithm.collect, in_axes=(0, None, 0))
    keys = jax.random.split(KEY, jax.tree.leaves(tasks)[0].shape[0])
    return algorithm, state, jax.jit(collect)(keys, state, tasks)


def test_training_acts_with_the_row_of_the_task():
    tasks = NumberedTask(GOALS[:2], jnp.array([2, 0]))
    algorithm, state, trials = collected(tasks)
    assert trials.reward.shape == (2, 1, 15, 5)
    for index, number in enumerate([2, 0]):
        params = {
            "shared": state.params["action"],
            "context": state.params["table"][number],
        }
        action, _ = algorithm.policy.apply(params, jnp.zeros(2), ())
        first = jax.tree.map(lambda leaf: leaf[index, 0, 0, 0], trials)  # noqa: B023
        np.testing.assert_allclose(
            first.log_prob, action.log_prob(first.action), rtol=1e-4
        )


def test_task_of_a_test_has_the_mean_of_the_table_and_not_the_last_row():
    source = embedding_source(NUMBERED, LearnedTable(size=2))
    table = jnp.array([[1.0, 2.0], [3.0, 8.0], [2.0, -1.0]])
    trial = probe.rollout(np.zeros((1, 1)))
    for number, expected in ((0, [1.0, 2.0]), (2, [2.0, -1.0]), (-1, [2.0, 3.0])):
        number = jnp.int32(number)
        told = source.of_task(table, NumberedTask(jnp.zeros(2), number))
        np.testing.assert_allclose(told, expected)
        played = trial._replace(metrics={"task_number": jnp.full((1, 1, 1), number)})
        np.testing.assert_allclose(source.of_trial(table, played), expected)


def test_rows_of_tasks_that_were_not_played_stay_as_they_are():
    tasks = NumberedTask(GOALS[:2], jnp.array([3, 1]))
    algorithm, state, trials = collected(tasks)
    after, _ = jax.jit(algorithm.update)(KEY, state, trials)
    moved = np.any(after.params["table"] != state.params["table"], axis=1)
    np.testing.assert_array_equal(moved, [False, True, False, True])


def test_told_policy_reads_the_task_and_stays_as_it_is():
    algorithm, state = started("true task")
    assert algorithm.adaptation is None
    trial = jax.jit(algorithm.adapt)(KEY, state.params, GOALS[0])
    assert trial.reward.shape == (3, 15, 5)
    context = trial.observation[0, 0, 0, 2:]
    params = {"shared": state.params["action"], "context": context}
    flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[3:]), trial)
    act = lambda observation: algorithm.policy.apply(params, observation, ())[0]
    log_prob = lambda observation, action: act(observation).log_prob(action)
    expected = jax.jit(jax.vmap(log_prob))(flat.observation, flat.action)
    np.testing.assert_allclose(flat.log_prob, expected, rtol=1e-4, atol=1e-5)


def test_source_that_the_environment_cannot_serve_is_refused():
    with pytest.raises(ValueError, match="set num_training_tasks"):
        make(POINT, CONFIG, TaskAxis())
    with pytest.raises(ValueError, match="set observe_task"):
        make(NUMBERED, TOLD, TaskAxis())


@pytest.mark.parametrize("field", ["discount", "trace_decay"])
def test_fraction_out_of_range_is_refused(field):
    with pytest.raises(ValueError, match=f"{field} must be between 0 and 1, not 1.5"):
        TaskEmbeddingConfig(**{field: 1.5})


@pytest.mark.parametrize("options", [{"size": 0}, {"initial_spread": 0.0}])
def test_table_without_size_or_spread_is_refused(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be above 0"):
        LearnedTable(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"embedding": TrueTask(), "conditioning": Concatenation()},
        {"embedding": LearnedTable(7), "conditioning": Film(0.2)},
        {"conditioning": Hypernetwork(0.2)},
    ],
)
def test_configuration_comes_back_from_the_folder_of_a_run(tmp_path, options):
    experiment = task_embedding_point.EXPERIMENT
    algorithm = dataclasses.replace(experiment.algorithm, **options)
    experiment = dataclasses.replace(experiment, algorithm=algorithm)
    directory = RunDirectory(tmp_path)
    directory.record("some_name", experiment)
    assert directory.load() == ("some_name", experiment)
