"""Small environments, data and policies with known answers, for all tests."""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
from gymnax.environments import spaces

from metarl_jax import gradient_methods
from metarl_jax.exact import TabularMdp
from metarl_jax.numbers import split_numbers
from metarl_jax.sequence_models import (
    FastWeightsConfig,
    GruConfig,
    LstmConfig,
    SnailConfig,
    TransformerConfig,
)
from metarl_jax.types import Adaptation, Rollout

SMALL_MODELS = {
    GruConfig: GruConfig(hidden_size=8),
    LstmConfig: LstmConfig(hidden_size=8),
    TransformerConfig: TransformerConfig(num_heads=2, width=8),
    SnailConfig: SnailConfig(4, 2, 4, 4, 4),
    FastWeightsConfig: FastWeightsConfig(2, 4, 3),
}


class CountdownState(NamedTuple):
    time: jax.Array
    start: jax.Array


class Countdown:
    """Ends after `task` steps, or is truncated at the horizon.

    An episode starts at a random multiple of 100; the observation counts up from it by
    one per step, and the reward of step t (0, 1, ...) is 10**t.
    """

    def __init__(self, horizon: int):
        self.horizon = horizon
        self.observation_space = spaces.Box(-jnp.inf, jnp.inf, (1,))
        self.action_space = spaces.Discrete(2)

    def reset(self, key, task):
        start = 100.0 * jax.random.randint(key, (), 0, 1000)
        state = CountdownState(jnp.zeros((), jnp.int32), start)
        return self._observe(state), state

    def step(self, key, state, action, task):
        reward = 10.0**state.time
        state = state._replace(time=state.time + 1)
        terminated = state.time >= task
        truncated = state.time >= self.horizon
        info = {"time": state.time}
        return self._observe(state), state, reward, terminated, truncated, info

    def _observe(self, state):
        return (state.start + state.time)[None]


def rollout(reward, terminated=(), truncated=(), observation=None, **fields) -> Rollout:
    """Data from rewards [T, E] and the (t, e) at which episodes end.

    Observations are zeros and next observations the shifted observations, unless
    given; a row of rewards [T] stands for [T, 1].
    """
    reward = np.asarray(reward, float)
    reward = reward[:, None] if reward.ndim == 1 else reward
    if observation is None:
        observation = np.zeros(reward.shape + (1,))
    following = np.concatenate([observation[1:], observation[-1:]])
    data = Rollout(
        observation=jnp.asarray(observation),
        action=jnp.zeros(reward.shape, jnp.int32),
        log_prob=jnp.zeros(reward.shape),
        reward=jnp.asarray(reward),
        terminated=_flags(reward.shape, terminated),
        truncated=_flags(reward.shape, truncated),
        next_observation=jnp.asarray(following),
        metrics={},
    )
    return data._replace(**fields)


def random_mdp(seed: int, num_states: int, num_actions: int) -> TabularMdp:
    """Transitions Dirichlet(1), rewards N(1, 1), start in state 0."""
    random = np.random.RandomState(seed)
    return TabularMdp(
        transition=jnp.asarray(
            random.dirichlet(np.ones(num_states), (num_states, num_actions))
        ),
        reward=jnp.asarray(random.normal(1.0, 1.0, (num_states, num_actions))),
        initial=jnp.eye(num_states)[0],
    )


def random_logits(seed: int, num_states: int, num_actions: int) -> jax.Array:
    random = np.random.RandomState(seed)
    return jnp.asarray(0.5 * random.normal(size=(num_states, num_actions)))


def to_float64(tree):
    """Floating leaves in float64; needs `jax.enable_x64(True)`."""
    return jax.tree.map(
        lambda x: x.astype(jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x,
        tree,
    )


def run_with_devices(path: str, num_devices: int, *arguments: str) -> None:
    """Runs a test file as a program, on a CPU that simulates several devices."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(path).parents[1]),
        "JAX_PLATFORMS": "cpu",
        "JAX_NUM_CPU_DEVICES": str(num_devices),
    }
    subprocess.run([sys.executable, path, *arguments], check=True, env=environment)


_PROGRAMS = {}


def compiled(fn: Callable, config: Any) -> Callable:
    """`fn(config, ...)` as one program for all configs that differ in their numbers.

    Programs are kept by `fn`, which must be the same object each time.
    """
    numbers, rebuild = split_numbers(config)
    key = fn, repr(rebuild(len(numbers) * ("",)))
    if key not in _PROGRAMS:
        program = lambda numbers, *inputs: fn(rebuild(numbers), *inputs)
        _PROGRAMS[key] = jax.jit(program)
    return partial(_PROGRAMS[key], numbers)


def relative_error(estimate, truth) -> float:
    """|estimate - truth| / |truth| over all leaves of two pytrees."""
    estimate, truth = map(flatten, (estimate, truth))
    return float(np.linalg.norm(estimate - truth) / np.linalg.norm(truth))


def cosine(left, right) -> float:
    left, right = map(flatten, (left, right))
    return float(left @ right / np.linalg.norm(left) / np.linalg.norm(right))


@partial(jax.jit, static_argnums=0)
def gradient_and_differences(fn, params, *inputs):
    """The gradient of `fn(params, *inputs)` by the parameters, and central differences.

    Both are flat. A program is compiled for each `fn` and kept.
    """
    size = 1e-5
    flat, unravel = jax.flatten_util.ravel_pytree(params)
    value = lambda flat: fn(unravel(flat), *inputs)
    shifts = np.concatenate([0 * np.eye(1, flat.size), np.eye(flat.size)])
    points = flat + size * np.concatenate([shifts, -shifts[1:]])
    values, gradients = jax.lax.map(jax.value_and_grad(value), points)
    above, below = jnp.split(values[1:], 2)
    return gradients[0], (above - below) / (2 * size)


def inner_loop(policy, config, surrogates, index) -> Adaptation:
    """`gradient_methods.inner_loop`, with one of the named surrogates.

    Its number may be traced, so that one program serves all of them.
    """
    named = [
        gradient_methods.inner_surrogate(
            dataclasses.replace(config, inner_surrogate=name)
        )
        for name in surrogates
    ]
    surrogate = lambda *arguments: jax.lax.switch(index, named, *arguments)
    with mock.patch.object(gradient_methods, "inner_surrogate", lambda _: surrogate):
        return gradient_methods.inner_loop(policy, config)


def flatten(tree) -> np.ndarray:
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def _flags(shape, where):
    flags = np.zeros(shape, bool)
    for index in where:
        flags[index if isinstance(index, tuple) else (index, slice(None))] = True
    return jnp.asarray(flags)
