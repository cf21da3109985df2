"""Numbers of a configuration are arguments of compiled programs, not part of them."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import probe
import pytest

import experiments
from experiments.experiment import build
from metarl_jax import training
from metarl_jax.algorithms import MamlConfig
from metarl_jax.losses import AdvantageConfig
from metarl_jax.networks import NetworkConfig
from metarl_jax.numbers import split_numbers
from metarl_jax.optimizers import AdamConfig

POINT = experiments.load_comparison("point")


def with_other_numbers(config):
    numbers, rebuild = split_numbers(config)
    return rebuild(tuple(0.9 * number for number in numbers))


def test_floats_are_found_at_every_depth_and_nothing_else_is():
    config = MamlConfig(
        num_episodes=3,
        inner_step_sizes=(0.5, 0.25),
        inner_surrogate="clipped",
        inner_surrogate_options={"clip_range": 0.125},
        outer=AdamConfig(learning_rate=0.0625),
    )
    numbers, rebuild = split_numbers(config)
    assert {0.5, 0.25, 0.125, 0.0625, config.network.initial_std} <= set(numbers)
    assert all(type(number) is float for number in numbers)
    doubled = rebuild(tuple(2 * number for number in numbers))
    assert doubled.inner_step_sizes == (1.0, 0.5)
    assert doubled.inner_surrogate_options == {"clip_range": 0.25}
    assert doubled.outer.learning_rate == 0.125
    assert doubled.num_episodes == 3


def test_own_numbers_give_the_same_configuration():
    config = POINT.rows["promp"].algorithm
    numbers, rebuild = split_numbers(config)
    assert rebuild(numbers) == config


def small(row):
    experiment = POINT.experiment(row)
    sizes = {"network": NetworkConfig(hidden_sizes=(4,), initial_std=0.7)}
    if not hasattr(experiment.algorithm, "network"):
        sizes = {}
    algorithm = dataclasses.replace(experiment.algorithm, **sizes, num_episodes=4)
    return dataclasses.replace(
        experiment,
        algorithm=algorithm,
        environment_options={"horizon": 5},
        training=dataclasses.replace(experiment.training, num_tasks=4),
    )


def program_of(problem, config):
    step = problem.step(config.num_tasks)
    return training.chunk_program(step, problem.axis, 1)


def constants(program):
    """Of a program and of all within it: the text of a program does not show them."""
    yield from getattr(program, "consts", ())
    for equation in getattr(program, "jaxpr", program).eqns:
        for value in jax.tree.leaves(list(equation.params.values())):
            if hasattr(value, "eqns"):
                yield from constants(value)


def test_constants_of_inner_programs_are_found():
    factor = np.arange(3.0)
    inner = jax.jit(lambda x: x * factor)
    either = lambda x: jax.lax.cond(x.sum() > 0, inner, jnp.sin, x)
    (found,) = constants(jax.jit(either).trace(jnp.ones(3)).jaxpr)
    np.testing.assert_array_equal(found, factor)


@pytest.mark.parametrize("row", POINT.rows)
def test_program_of_every_algorithm_is_the_same_for_other_numbers(row):
    experiment = small(row)
    other = dataclasses.replace(
        experiment, algorithm=with_other_numbers(experiment.algorithm)
    )
    config, problems = experiment.training, [build(experiment), build(other)]
    start = jax.eval_shape(partial(problems[0].initial_state, config))
    first, second = (
        program_of(problem, config).trace(start, problem.numbers).jaxpr
        for problem in problems
    )
    assert str(first) == str(second)
    of_both = list(constants(first)), list(constants(second))
    jax.tree.map(np.testing.assert_array_equal, *of_both)


def test_other_numbers_need_no_compilation_and_are_those_that_act():
    experiment = small("reptile")
    config = experiment.training
    algorithm = dataclasses.replace(
        experiment.algorithm,
        inner_step_sizes=(0.3, 0.1, 0.05),
        inner_advantage=AdvantageConfig(discount=0.5),
    )
    other = dataclasses.replace(experiment, algorithm=algorithm)
    problem, expected = build(experiment), build(other)
    program = program_of(problem, config)
    program(problem.axis.replicate(problem.initial_state(config)), problem.numbers)
    actual, _ = program(
        problem.axis.replicate(expected.initial_state(config)), expected.numbers
    )
    assert program._cache_size() == 1
    compiled_in = training.meta_step(
        expected.algorithm, expected.tasks.train, expected.axis, config.num_tasks
    )
    program = training.chunk_program(compiled_in, expected.axis, 1)
    start = training.initial_state(expected.algorithm, config)
    plain, _ = program(expected.axis.replicate(start))
    left, right = (jax.device_get(s.train_state.params) for s in (actual, plain))
    assert probe.relative_error(left, right) < 1e-5
    assert np.all(actual.iteration == 1)
