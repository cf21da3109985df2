"""A trained agent can be taken out of its run and played on any task."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import experiments
from experiments.experiment import Experiment, build
from experiments.run_directory import RunDirectory
from experiments.trained import TrainedAgent, load_agent
from experiments.trainer import train
from metarl_jax import task_axis
from metarl_jax.algorithms import Rl2Config
from metarl_jax.evaluation import EvaluationConfig
from metarl_jax.sequence_models import GruConfig
from metarl_jax.training import TrainingConfig

SHORT = Experiment(
    description="RL^2 for a moment",
    environment="bernoulli_bandit",
    environment_options={"num_arms": 3, "horizon": 4},
    algorithm=Rl2Config(0, memory=GruConfig(4)),
    training=TrainingConfig(num_iterations=2, num_tasks=8, num_seeds=2),
    evaluation=EvaluationConfig(num_adaptation_steps=0, num_episodes=1),
)


def test_agent_plays_the_task_that_it_is_given(tmp_path):
    directory = RunDirectory(tmp_path / "run")
    directory.create("short", SHORT)
    state = train(directory, "short", SHORT, "short")
    agent = load_agent(directory.path, seed_index=1)
    saved = jax.tree.map(lambda leaf: leaf[1], state.train_state.params)
    jax.tree.map(np.testing.assert_array_equal, agent.params, saved)
    always, never = jnp.ones(3), jnp.zeros(3)
    for arms, reward in ((always, 1.0), (never, 0.0)):
        trial = agent.play(jax.random.key(0), arms)
        np.testing.assert_array_equal(trial.reward, np.full((1, 4, 1), reward))


def test_agent_of_numbered_tasks_plays_a_task_without_a_number():
    problem = build(dataclasses.replace(SHORT, num_training_tasks=3))
    params = problem.algorithm.init(jax.random.key(0)).params
    play = jax.jit(TrainedAgent(problem, params).play)
    trial = play(jax.random.key(0), jnp.ones(3))
    np.testing.assert_array_equal(trial.reward, 1.0)
    np.testing.assert_array_equal(trial.metrics["task_number"], -1)


@pytest.mark.parametrize("seed_index", [-1, 2])
def test_seed_that_was_not_trained_is_refused(tmp_path, seed_index):
    RunDirectory(tmp_path).create("short", SHORT)
    said = f"seed_index must be from 0 to 1, not {seed_index}"
    with pytest.raises(ValueError, match=said):
        load_agent(tmp_path, seed_index)


def test_rl2_is_not_tested_on_trials_of_another_length():
    longer = dataclasses.replace(SHORT.evaluation, num_adaptation_steps=3)
    with pytest.raises(ValueError, match="trials as long as those of training: set"):
        dataclasses.replace(SHORT, evaluation=longer)


def test_rl2_has_no_oracle():
    with pytest.raises(ValueError, match="for others set oracle_iterations to 0"):
        dataclasses.replace(SHORT, oracle_iterations=10)


def test_tasks_that_share_parameters_go_all_at_once():
    maml = experiments.load("maml_bernoulli_bandit")
    assert build(SHORT).axis.chunk_size >= SHORT.training.num_tasks
    assert build(maml).axis.chunk_size != maml.training.num_tasks


@pytest.mark.parametrize(
    ("num_seeds", "num_tasks", "num_devices", "num_episodes", "expected"),
    [
        (1, 20, 1, 10, 20),  # 20 tasks of 10 rows, since 10 tasks have fewer than 128
        (1, 40, 1, 20, 8),  # 8 tasks of 20 rows
        (1, 40, 2, 20, 10),  # 10 tasks of 20 rows, since 8 does not divide 20 tasks
        (3, 20, 1, 10, 5),  # 3 seeds of 5 tasks of 10 rows
        (5, 40, 1, 20, 5),  # 5 seeds of 5 tasks of 20 rows, since 4 does not divide 5
        (1, 4, 1, 10, 4),  # all that there are
    ],
)
def test_128_rows_of_robots_go_together_on_a_cpu_if_there_are_as_many(
    num_seeds, num_tasks, num_devices, num_episodes, expected, monkeypatch
):
    devices = num_devices * jax.devices()[:1]
    monkeypatch.setattr(task_axis, "_by_process", lambda: [devices])
    robots = experiments.load("maml_half_cheetah_velocity")
    training = dataclasses.replace(
        robots.training,
        num_seeds=num_seeds,
        num_tasks=num_tasks,
        num_devices=num_devices,
    )
    algorithm = dataclasses.replace(robots.algorithm, num_episodes=num_episodes)
    robots = dataclasses.replace(robots, training=training, algorithm=algorithm)
    assert build(robots).axis.chunk_size == expected
