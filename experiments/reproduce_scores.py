"""Scores of agents over many trials: how they are measured and summarised."""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

import envs
from experiments.experiment import Experiment, at_test_time, build
from experiments.reproduce_cells import Cell
from experiments.reproduce_classical import ClassicalAgent
from metarl_jax.checks import require
from metarl_jax.classical.scores import trial_returns
from metarl_jax.statistics import stratified_bootstrap
from metarl_jax.types import Array, Key, Params

# seeds of tasks, far from those of training, which count up from 0
_TUNING_SEED = 1_000_000
_SCORED_SEED = 2_000_000

_TUNING_TRIALS = 2000
_TRIALS_PER_CHUNK = 250
_NUM_BLOCKS = 500


def check_num_trials(num_trials: int) -> None:
    """Raises ValueError where trials do not make blocks of equal size."""
    require(
        num_trials > 0 and num_trials % min(num_trials, _NUM_BLOCKS) == 0,
        f"--trials must be above 0, and beyond {_NUM_BLOCKS} a multiple of it, not "
        f"{num_trials}",
    )


def classical_score(
    cell: Cell, agent: ClassicalAgent, num_trials: int
) -> dict[str, Any]:
    """An agent's total reward, by the setting chosen on other tasks.

    Args:
      cell: whose trials it plays.
      agent: with its settings; where there is more than one, the best in
        `_TUNING_TRIALS` trials on other tasks is chosen, and `as_published` is the
        best on the scored tasks.
      num_trials: M.

    Returns:
      `summary` of the chosen setting, with `setting`, `mean_by_setting` on the scored
      tasks and `as_published`.
    """
    settings = list(agent.settings)
    chosen = 0
    if len(settings) > 1:
        tuning = _classical_returns(cell, agent, _TUNING_SEED, _TUNING_TRIALS)
        chosen = int(tuning.mean(axis=1).argmax())
    returns = _classical_returns(cell, agent, _SCORED_SEED, num_trials)
    means = returns.mean(axis=1)
    best = int(means.argmax())
    return summary(returns[chosen][None]) | {
        "setting": settings[chosen],
        "mean_by_setting": dict(zip(map(str, settings), means.tolist(), strict=True)),
        "as_published": summary(returns[best][None]) | {"setting": settings[best]},
    }


def learned_returns(
    experiment: Experiment, params: Params, num_trials: int
) -> np.ndarray:
    """Total rewards at each stage of trials in tasks that were not trained on.

    Args:
      experiment: as it was trained, with the trial of its evaluation.
      params: leaves [S, ...].
      num_trials: M.

    Returns:
      Sums of undiscounted rewards over the T steps of all E rows, [S, M, K+1].
    """
    problem = build(at_test_time(experiment))

    def trial(params: Params, key: Key) -> Array:
        task_key, play_key = jax.random.split(key)
        task = problem.tasks.test(task_key)
        return problem.algorithm.adapt(play_key, params, task).reward.sum(axis=(1, 2))

    trials = jax.jit(jax.vmap(jax.vmap(trial, in_axes=(None, 0)), in_axes=(0, None)))
    keys = jax.random.split(jax.random.key(_SCORED_SEED), num_trials)
    parts = [np.asarray(trials(params, part)) for part in _chunks(keys)]
    return np.concatenate(parts, axis=1).astype(np.float64)


def learned_score(
    experiment: Experiment, params: Params, num_trials: int
) -> dict[str, Any]:
    """The `summary` of a learned agent's total reward, and that of each stage."""
    returns = learned_returns(experiment, params, num_trials)
    by_stage = [summary(returns[..., k]) for k in range(returns.shape[-1])]
    return summary(returns.sum(axis=-1)) | {
        "num_seeds": len(returns),
        "mean_by_seed": returns.sum(axis=-1).mean(axis=1).tolist(),
        "mean_by_stage": [stage["mean"] for stage in by_stage],
        "interval_by_stage": [stage["interval"] for stage in by_stage],
    }


def summary(returns: np.ndarray) -> dict[str, Any]:
    """The mean of returns [S, M], and its 95% interval over seeds and trials.

    The bootstrap draws means of blocks of trials: they are as independent as trials
    are, and few enough for memory.
    """
    num_seeds, num_trials = returns.shape
    check_num_trials(num_trials)
    num_blocks = min(num_trials, _NUM_BLOCKS)
    blocks = returns.reshape(num_seeds, num_blocks, -1).mean(axis=-1)
    interval = stratified_bootstrap(blocks, np.mean, shared_seeds=True)
    return {
        "mean": float(returns.mean()),
        "interval": interval.tolist(),
        "num_trials": num_trials,
    }


def _classical_returns(
    cell: Cell, agent: ClassicalAgent, seed: int, num_trials: int
) -> np.ndarray:
    """Total rewards for each setting, [settings, num_trials]."""
    env, tasks = envs.make(cell.environment, **cell.environment_options)
    returns = trial_returns(
        jax.random.key(seed),
        env,
        tasks.test,
        agent.make,
        np.asarray(agent.settings, np.float32),
        num_trials,
        cell.num_episodes,
    )
    return returns.astype(np.float64)


def _chunks(keys: Key) -> Iterator[Key]:
    """Keys in parts of equal length, but for the last one, with a progress bar."""
    starts = range(0, len(keys), _TRIALS_PER_CHUNK)
    for start in tqdm(starts, desc="scoring", unit="chunk"):
        yield keys[start : start + _TRIALS_PER_CHUNK]
