"""What adaptation changed, against hand values; and the command, end to end."""

import dataclasses
import json

import commands
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments import spaces

import experiments.analyse
from experiments.analyser import describe
from experiments.run_directory import RunDirectory
from experiments.trainer import train
from metarl_jax import analysis
from metarl_jax.conditioning import (
    Concatenation,
    Film,
    Hypernetwork,
    conditioned_policy,
    context_policy,
)
from metarl_jax.networks import NetworkConfig, is_hidden, mlp_policy

PLANE = spaces.Box(-jnp.inf, jnp.inf, (2,))
NETWORK = NetworkConfig(hidden_sizes=(4, 3))


def noise(seed, *shape):
    return jnp.asarray(np.random.RandomState(seed).normal(size=shape), jnp.float32)


def test_cka_is_one_for_a_rotated_scaled_and_shifted_representation():
    points = noise(0, 200, 4)
    rotation = np.linalg.qr(noise(1, 4, 4))[0]
    np.testing.assert_allclose(
        analysis.linear_cka(points, 3 * points @ rotation + 7), 1.0, atol=1e-4
    )


def test_cka_of_independent_noise_is_small():
    assert analysis.linear_cka(noise(0, 2000, 4), noise(1, 2000, 4)) < 0.01


def test_cka_of_one_of_two_equal_directions_is_known():
    """Of x and (x, y), x and y uncorrelated with variance 1: 1 / sqrt(1 * 2)."""
    both = jnp.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    actual = analysis.linear_cka(both[:, :1], both)
    np.testing.assert_allclose(actual, 1 / np.sqrt(2), rtol=1e-6)


def test_relative_change_joins_weight_and_bias_of_a_layer():
    layer = lambda weight, bias: {"weight": jnp.array(weight), "bias": jnp.array(bias)}
    before = {"hidden_0": layer([3.0, 0.0], [4.0]), "log_std": jnp.array([0.0])}
    after = {"hidden_0": layer([3.0, 1.0], [4.0]), "log_std": jnp.array([0.5])}
    change = analysis.relative_change(before, after)
    np.testing.assert_allclose(change["hidden_0"], 1 / 5)
    np.testing.assert_allclose(change["log_std"], 0.5)  # was zero: the distance


def in_context(conditioning):
    return lambda *args: context_policy(conditioned_policy(*args, conditioning, 2), 2)


@pytest.mark.parametrize(
    "make",
    [mlp_policy, *map(in_context, (Concatenation(), Film(), Hypernetwork()))],
    ids=["plain", "concatenation", "film", "hypernetwork"],
)
def test_activations_of_the_output_layer_are_what_the_policy_acts_by(make):
    policy = make(PLANE, spaces.Box(-1.0, 1.0, (2,)), NETWORK)
    params = jax.jit(policy.init)(jax.random.key(0))
    observation = jnp.array([0.3, -0.2])
    outputs = jax.jit(policy.activations)(params, observation)
    shapes = {name: value.shape for name, value in outputs.items()}
    assert shapes == {"hidden_0": (4,), "hidden_1": (3,), "output": (2,)}
    mean = jax.jit(policy.apply)(params, observation, ())[0].mean
    np.testing.assert_allclose(outputs["output"], mean, rtol=1e-6)


def test_parameters_that_did_not_change_are_alike_in_every_layer():
    policy = mlp_policy(PLANE, spaces.Discrete(3), NETWORK)
    params = jax.jit(policy.init)(jax.random.key(0))
    cka = analysis.similarity(policy, params, params, noise(0, 50, 2))
    np.testing.assert_allclose(list(cka.values()), 1.0, rtol=1e-4)
    kl = analysis.policy_change(policy, params, params, noise(0, 50, 2))[2]
    np.testing.assert_allclose(kl, 0.0, atol=1e-6)


def test_landscape_has_the_value_of_the_centre_in_its_centre():
    params = {"a": jnp.array([3.0, 4.0]), "b": jnp.array([1.0])}
    value = lambda p: jnp.sum(p["a"] ** 2) + p["b"][0]
    around = analysis.landscape(
        jax.random.key(0), value, params, jnp.array([-1.0, 0.0, 1.0])
    )
    np.testing.assert_allclose(around[1, 1], 26.0)
    assert len(np.unique(around)) == 9


def test_direction_is_as_long_as_each_leaf():
    params = {"a": jnp.array([3.0, 4.0]), "b": jnp.zeros(2)}
    direction = analysis.random_direction(jax.random.key(0), params)
    np.testing.assert_allclose(np.linalg.norm(direction["a"]), 5.0, rtol=1e-6)
    np.testing.assert_array_equal(direction["b"], 0.0)


@pytest.mark.parametrize(
    "hidden, rest, said",
    [(0.2, 6.0, "rapid learning: "), (6.0, 0.2, "feature reuse: ")],
)
def test_conclusion_names_what_carried_the_change(hidden, rest, said):
    carried = {"nothing": [9.0, 7.0], "hidden": [hidden] * 2, "rest": [rest] * 2}
    sentence = describe(carried)
    assert sentence.startswith(said) and "8 nats" in sentence


@pytest.mark.parametrize("part", ["hidden", "rest"])
def test_change_of_one_part_is_carried_by_that_part(part):
    policy = mlp_policy(PLANE, spaces.Discrete(3), NETWORK)
    before, other = (policy.init(jax.random.key(seed)) for seed in (0, 1))
    wanted = lambda path: is_hidden(path) == (part == "hidden")
    choose = lambda path, old, new: new if wanted(path) else old
    after = jax.tree_util.tree_map_with_path(choose, before, other)
    carried = analysis.carried_by(policy, before, after, noise(0, 50, 2))
    np.testing.assert_allclose(carried.pop(part), 0.0, atol=1e-7)
    nothing, left = carried["nothing"], min(carried.values())
    np.testing.assert_allclose(left, nothing, rtol=1e-5)
    assert nothing > 1e-6


def trained(path):
    """The folder of a run, without the tests at its end."""
    name = "point:anil"
    experiment = dataclasses.replace(
        experiments.load(name), environment_options={"horizon": 10}
    )
    parts = {
        "algorithm": {"num_adaptation_steps": 1, "num_episodes": 2},
        "training": {"num_iterations": 1, "num_tasks": 2},
        "evaluation": {"num_episodes": 2},
    }
    small = {
        part: dataclasses.replace(getattr(experiment, part), **settings)
        for part, settings in parts.items()
    }
    experiment = dataclasses.replace(experiment, **small)
    directory = RunDirectory(path)
    directory.create(name, experiment)
    train(directory, name, experiment, name)
    return path


def test_command_analyses_a_run_and_writes_its_figures(tmp_path):
    folder = trained(tmp_path / "run")
    commands.call(experiments.analyse, folder, "--num-tasks=3", "--grid=3")
    for name in ("layers.png", "landscape.png", "policies.png"):
        assert (tmp_path / "run" / name).stat().st_size > 1000
    numbers = json.loads((tmp_path / "run" / "analysis.json").read_text())
    change = numbers["relative_change"]
    np.testing.assert_array_equal(change["hidden_0"], np.zeros((3, 3)))  # ANIL
    assert np.min(change["output"]) > 0
    assert np.shape(numbers["return_around"]) == (3, 3)


def test_folder_without_a_run_gets_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        commands.call(experiments.analyse, tmp_path)
    assert ended.value.code == 2
    errors = capsys.readouterr().err
    assert "no run in" in errors and len(errors.splitlines()) == 1
