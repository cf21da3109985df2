"""A finite training set: its tasks have numbers, which travel with their data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.tasks import NumberedTask, numbered, without_number
from envs.wrappers import TaskInObservation, WithNumberedTasks
from experiments.experiment import Experiment, build
from metarl_jax import checks
from metarl_jax.algorithms import MultiTaskConfig
from metarl_jax.evaluation import EvaluationConfig, held_out_tasks
from metarl_jax.networks import NetworkConfig
from metarl_jax.training import TrainingConfig, collect_trials

KEY = jax.random.key(3)


def drawn(sample, count=500):
    return jax.jit(jax.vmap(sample))(jax.random.split(KEY, count))


def test_training_draws_each_of_the_tasks_and_always_the_same_for_a_number():
    _, tasks = envs.make("point")
    goals, numbers = drawn(numbered(tasks, 4).train)
    found, counts = np.unique(numbers, return_counts=True)
    np.testing.assert_array_equal(found, [0, 1, 2, 3])
    assert counts.min() > 80
    for number in range(4):
        assert np.ptp(goals[numbers == number], axis=0).max() == 0


def test_no_task_of_a_test_is_one_of_training():
    _, tasks = envs.make("point")
    some = numbered(tasks, 100)
    goals, _ = drawn(some.train, 2000)
    for seed in range(4):
        config = EvaluationConfig(seed=seed, num_tasks=100)
        held_out = held_out_tasks(some, config).task
        assert not set(map(tuple, held_out.tolist())) & set(map(tuple, goals.tolist()))


def test_held_out_tasks_are_as_before_and_have_no_number():
    _, tasks = envs.make("point")
    some = numbered(tasks, 4)
    for plain, sample in ((tasks.test, some.test), (tasks.ood, some.ood)):
        task = drawn(sample)
        np.testing.assert_array_equal(task.task, drawn(plain))
        assert (task.number == -1).all()
    published = some.fixed["finn2017"]()
    np.testing.assert_array_equal(published.task, tasks.fixed["finn2017"]())
    np.testing.assert_array_equal(published.number, np.full(40, -1))


def test_family_without_an_outside_has_none_with_numbers_either():
    _, tasks = envs.make("gaussian_bandit")
    assert numbered(tasks._replace(ood=None), 3).ood is None


def test_number_is_taken_off_where_there_is_one():
    goal = jnp.ones(2)
    assert without_number(NumberedTask(goal, jnp.int32(2))) is goal
    assert without_number(goal) is goal


def test_environment_reports_the_number_and_is_otherwise_the_same():
    env, tasks = envs.make("point")
    wrapped = WithNumberedTasks(env, 5)
    task = NumberedTask(tasks.train(KEY), jnp.int32(3))
    observation, state = wrapped.reset(KEY, task)
    np.testing.assert_array_equal(observation, env.reset(KEY, task.task)[0])
    action = jnp.array([0.3, -0.2])
    *outcome, info = wrapped.step(KEY, state, action, task)
    *expected, _ = env.step(KEY, state, action, task.task)
    jax.tree.map(np.testing.assert_array_equal, outcome, expected)
    assert info == {"task_number": 3}


def test_experiment_with_a_finite_set_collects_data_that_tells_its_task():
    network = NetworkConfig(hidden_sizes=(4,))
    experiment = Experiment(
        description="",
        environment="point",
        environment_options={"horizon": 3},
        algorithm=MultiTaskConfig(num_episodes=2, network=network),
        training=TrainingConfig(num_tasks=6),
        observe_task=True,
        num_training_tasks=2,
    )
    problem = build(experiment)
    assert checks.num_training_tasks(problem.env) == 2
    assert checks.num_task_parameters(problem.env) == 2
    state = problem.algorithm.init(KEY)
    trials = collect_trials(
        KEY, problem.algorithm, state, problem.tasks.train, problem.axis, 6
    )
    numbers = trials.metrics["task_number"]
    assert numbers.shape == (6, 1, 3, 2) and set(np.unique(numbers)) == {0, 1}
    told = trials.observation[..., -2:]
    for number in range(2):
        assert np.ptp(told[numbers == number], axis=0).max() == 0


def test_learner_that_needs_numbers_says_what_to_set():
    env, tasks = envs.make("point")
    with pytest.raises(ValueError, match="set num_training_tasks"):
        checks.num_training_tasks(env)
    with pytest.raises(ValueError, match="set observe_task"):
        checks.num_task_parameters(WithNumberedTasks(env, 3))
    assert checks.num_task_parameters(TaskInObservation(env, tasks)) == 2


def test_negative_number_of_training_tasks_is_refused():
    with pytest.raises(ValueError, match="num_training_tasks must be 0 or more"):
        Experiment("", "point", MultiTaskConfig(), num_training_tasks=-1)
