"""How much reward agents collect in a trial, over thousands of trials."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from metarl_jax.checks import require
from metarl_jax.classical.agent import Agent, play
from metarl_jax.types import Array, Environment, Key, Memory, Task


def trial_returns(
    key: Key,
    env: Environment,
    sample_task: Callable[[Key], Task],
    make_agent: Callable[[Array], Agent],
    settings: Array,
    num_trials: int,
    num_episodes: int = 1,
    trials_per_chunk: int = 1000,
) -> np.ndarray:
    """The total reward of each trial, for each setting of an agent.

    All settings meet the same tasks with the same keys, so that their differences
    have less noise than they have. One program is compiled for all settings and chunks.

    Args:
      key: consumed; settles the tasks and all that happens in them.
      env: an environment whose episodes end by the horizon alone.
      sample_task: draws the task of a trial.
      make_agent: `setting -> agent`; traced, so that the setting is a scalar array.
        What is costly to compute of a setting belongs into the agent's initial memory,
        which is computed once for each setting.
      settings: [S].
      num_trials: M.
      num_episodes: of one trial, through which the agent's memory lives on.
      trials_per_chunk: trials side by side; bounds the memory.

    Returns:
      Sums of undiscounted rewards, [S, M].
    """
    require(num_trials >= 1, f"num_trials must be at least 1, not {num_trials}")
    require(
        trials_per_chunk >= 1,
        f"trials_per_chunk must be at least 1, not {trials_per_chunk}",
    )

    def trial(memory: Memory, setting: Array, key: Key) -> Array:
        task_key, play_key = jax.random.split(key)
        agent = make_agent(setting)._replace(initial_memory=memory)
        return play(play_key, env, agent, sample_task(task_key), num_episodes).sum()

    prepare = jax.jit(lambda setting: make_agent(setting).initial_memory)
    trials = jax.jit(jax.vmap(trial, in_axes=(None, None, 0)))
    chunks = _chunks_of_keys(key, num_trials, min(num_trials, trials_per_chunk))

    def returns(setting: Array) -> np.ndarray:
        memory = prepare(setting)
        parts = [np.asarray(trials(memory, setting, keys)) for keys in chunks]
        return np.concatenate(parts)[:num_trials]

    return np.stack([returns(setting) for setting in jnp.asarray(settings)])


def _chunks_of_keys(key: Key, num_keys: int, length: int) -> Key:
    """At least `num_keys` keys, [chunks, length]."""
    return jax.random.split(key, (-(-num_keys // length), length))
