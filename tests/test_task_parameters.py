"""The numbers that tasks are made of, by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import envs
from envs.tasks import NumberedTask, task_parameters

MANY = 7


@pytest.mark.parametrize(
    ("family", "names"),
    [
        ("point", ["parameter[0]", "parameter[1]"]),
        ("cartpole", ["length", "mass_cart", "mass_pole", "gravity", "force"]),
        ("grid_navi", ["parameter[0]", "parameter[1]"]),
        ("bernoulli_bandit", [f"parameter[{arm}]" for arm in range(5)]),
    ],
)
def test_parameters_have_the_names_and_the_order_of_the_task(family, names):
    _, distribution = envs.make(family)
    tasks = jax.vmap(distribution.test)(jax.random.split(jax.random.key(0), MANY))
    parameters = task_parameters(tasks)
    assert list(parameters) == names
    flat = jax.vmap(lambda task: ravel_pytree(task)[0])(tasks)
    np.testing.assert_array_equal(np.stack(list(parameters.values()), axis=1), flat)


def test_number_of_a_task_is_no_parameter_of_it():
    speeds = jnp.arange(3.0)
    parameters = task_parameters(NumberedTask(speeds, jnp.arange(3)))
    assert list(parameters) == ["parameter"]
    np.testing.assert_array_equal(parameters["parameter"], speeds)


def test_each_number_of_a_matrix_has_its_place_in_its_name():
    tasks = {"rewards": jnp.arange(8.0).reshape(2, 2, 2)}
    parameters = task_parameters(tasks)
    assert list(parameters) == [f"rewards[{i}, {j}]" for i in (0, 1) for j in (0, 1)]
    np.testing.assert_array_equal(parameters["rewards[1, 0]"], [2.0, 6.0])


def test_parts_of_names_are_kept_apart():
    nested = {"a": {"b": jnp.zeros(2)}, "ab": jnp.ones(2)}
    assert list(task_parameters(nested)) == ["a.b", "ab"]
