"""What a run believes of its tasks: agents with known beliefs, and the command."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import probe
import pytest

import experiments
from experiments.belief_report import infer, report
from experiments.beliefs import Options
from experiments.experiment import Experiment, build
from experiments.grid_beliefs import compare_beliefs, grid_of
from experiments.run_directory import RunDirectory, document
from experiments.trained import TrainedAgent
from metarl_jax.algorithms import Rl2Config
from metarl_jax.beliefs import Belief
from metarl_jax.checkpoints import Checkpoints
from metarl_jax.evaluation import EvaluationConfig
from metarl_jax.networks import NetworkConfig
from metarl_jax.sequence_models import GruConfig

STAY, UP, RIGHT, DOWN, LEFT = range(5)
GRID = Experiment(
    description="a small grid",
    environment="grid_navi",
    environment_options={"size": 3, "horizon": 4},
    algorithm=Rl2Config(1),
    evaluation=EvaluationConfig(num_adaptation_steps=1, num_episodes=1),
)
PATH = [[(1, 0), (2, 0), (2, 1), (2, 2)], [(0, 1), (0, 1), (0, 2), (0, 2)]]


def life(goal):
    """A trial [2, 4, 1] along `PATH`, in a 3 x 3 grid with this goal."""
    arrived = np.array(PATH, np.float32)
    reward = np.where((arrived == goal).all(-1), 1.0, -0.1)[..., None]
    start = np.zeros((2, 1, 2), np.float32)
    left = np.concatenate([start, arrived[:, :-1]], axis=1)
    data = probe.rollout(
        reward,
        observation=left[:, :, None],
        next_observation=jnp.asarray(arrived[:, :, None]),
        action=jnp.zeros((2, 4, 1), jnp.int32),
    )
    return data


def compare(trial, mean, reward):
    """An agent that believes `mean` [8, Z], for sure, in a trial of 8 steps."""
    belief = jnp.asarray(mean, jnp.float32).reshape(2, 4, 1, -1)
    beliefs = Belief(belief, jnp.zeros_like(belief))
    key = jax.random.key(0)
    grid = grid_of(GRID)
    program = jax.jit(lambda: compare_beliefs(key, grid, reward, trial, beliefs, 2))
    return program()


def reward_of_cell(embedding, observation, action, cell):
    """For embeddings that are the probabilities of the 9 cells."""
    x, y = cell.astype(int)
    return -0.1 + 1.1 * embedding[3 * x + y]


def test_exact_beliefs_are_those_before_the_step_and_live_through_episodes():
    """Goals are (0, 2), (1, 2), (2, 0), (2, 1) and (2, 2); (0, 2) is found last."""
    exact = compare(life((0, 2)), np.zeros((8, 9)), reward_of_cell).exact
    cells = {
        (x, y): np.asarray(exact)[:, 3 * x + y] for x in range(3) for y in range(3)
    }
    fifth, quarter, third, half = 1 / 5, 1 / 4, 1 / 3, 1 / 2
    np.testing.assert_allclose(
        cells[0, 2], [fifth, fifth, quarter, third, half, half, half, 1], rtol=1e-6
    )
    np.testing.assert_allclose(
        cells[1, 2], [fifth, fifth, quarter, third, half, half, half, 0], rtol=1e-6
    )
    np.testing.assert_allclose(cells[2, 0], [fifth, fifth, *[0] * 6], rtol=1e-6)
    np.testing.assert_allclose(cells[0, 0], 0)


def test_agent_with_exact_beliefs_is_at_no_distance():
    trial = life((2, 1))
    exact = compare(trial, np.zeros((8, 9)), reward_of_cell).exact
    compared = compare(trial, exact, reward_of_cell)
    np.testing.assert_allclose(compared.learned, exact, atol=1e-6)
    np.testing.assert_allclose(compared.distance, 0, atol=1e-6)


def test_agent_that_keeps_its_prior_is_as_far_off_as_cells_are_excluded():
    """Of five cells 0, 0, 1, 2 and 3 are excluded by then, and at last four."""
    compared = compare(life((0, 2)), np.full((8, 9), 0.3), reward_of_cell)
    expected = np.array([0, 0, 1, 2, 3, 3, 3, 4]) / 5
    np.testing.assert_allclose(compared.distance, expected, atol=1e-6)


def test_decoder_is_asked_of_the_transition_that_is_about_to_happen():
    """An agent that takes the cell it is in for the goal, if that may be one."""

    def reward(embedding, observation, action, cell):
        return jnp.where((cell == observation).all() & (action == STAY), 1.0, -0.1)

    learned = np.asarray(compare(life((0, 2)), np.zeros((8, 1)), reward).learned)
    np.testing.assert_allclose(learned[2], np.eye(9)[6], atol=1e-6)  # acts in (2, 0)
    np.testing.assert_allclose(learned[0], grid_of(GRID).goals.prior)  # in the start


def test_only_grid_navi_has_exact_beliefs_over_goals():
    assert grid_of(experiments.load("maml_bernoulli_bandit")) is None


def test_agent_that_is_told_the_goal_has_no_belief_over_goals():
    experiment = experiments.load("varibad_grid_navi")
    assert grid_of(experiment)
    assert grid_of(dataclasses.replace(experiment, observe_task=True)) is None


def test_inference_keeps_parameters_of_numbered_tasks_without_their_number():
    problem = build(dataclasses.replace(GRID, num_training_tasks=3))
    algorithm = SimpleNamespace(
        adapt=lambda key, params, task: probe.rollout([1, 1, 1]),
        beliefs=lambda params, trial: Belief(params * trial.reward, trial.reward),
    )
    agent = TrainedAgent(problem._replace(algorithm=algorithm), jnp.float32(2))
    tasks = jax.vmap(problem.tasks.test)(jax.random.split(jax.random.key(0), 6))
    inference = infer(jax.random.key(0), agent, tasks)
    np.testing.assert_array_equal(inference.parameters, tasks.task)
    np.testing.assert_array_equal(inference.beliefs.mean, np.full((6, 3, 1), 2))


def test_run_that_infers_nothing_is_refused(tmp_path):
    RunDirectory(tmp_path).create("short", experiments.load("maml_point"))
    with pytest.raises(ValueError, match="this run infers no tasks: train one that"):
        report(Options(tmp_path))


def small_varibad(**decoder):
    config = experiments.load("varibad_grid_navi").algorithm
    learning = config.belief_learning
    return dataclasses.replace(
        config,
        num_adaptation_steps=1,
        autoencoder=dataclasses.replace(
            config.autoencoder,
            embedding_size=2,
            input_sizes=(),
            memory=GruConfig(4),
            decoder=dataclasses.replace(
                config.autoencoder.decoder, hidden_sizes=(4,), **decoder
            ),
        ),
        belief_learning=dataclasses.replace(
            learning, num_minibatches=1, batch_size=4, buffer_size=8
        ),
        network=NetworkConfig(hidden_sizes=(4,)),
    )


def saved_untrained(path, algorithm, **changes):
    """The folder of a run that was stopped before its first iteration."""
    experiment = dataclasses.replace(GRID, algorithm=algorithm, **changes)
    directory = RunDirectory(path)
    directory.create("untrained", experiment)
    state = build(experiment).initial_state(experiment.training)
    config = document("untrained", experiment)
    Checkpoints(directory.checkpoints).save(0, state, config=config)


def test_report_of_varibad_on_a_grid_has_curves_and_figures(tmp_path):
    saved_untrained(tmp_path / "run", small_varibad())
    said = report(Options(tmp_path / "run", num_tasks=30, num_samples=3))
    out = tmp_path / "run" / "beliefs"
    for name in ("goals.png", "reading.png", "embeddings.png"):
        assert (out / name).stat().st_size > 1000
    results = json.loads((out / "beliefs.json").read_text())
    assert np.shape(results["r_squared"]) == (2, 4)
    assert np.shape(results["r_squared_by_parameter"]) == (2, 2, 4)
    assert np.shape(results["embeddings"]) == np.shape(results["task_parameters"])
    by_step = np.array(results["total_variation_by_step"])
    assert by_step.shape == (2, 4) and 0 < by_step.min() <= by_step.max() < 1
    np.testing.assert_allclose(results["total_variation"], by_step.mean(), rtol=1e-5)
    assert f"mean total variation: {results['total_variation']:.4f}" in said
    assert len(said.splitlines()) == 5
    np.testing.assert_allclose(results["r_squared"][0][0], 0, atol=1e-6)
    np.testing.assert_allclose(results["standard_deviation"][0][0], 1, rtol=1e-6)
    with pytest.raises(ValueError, match="--trial must be from 0 to 4, not 5"):
        report(Options(tmp_path / "run", num_tasks=5, trial=5))


@pytest.mark.parametrize(
    "task_set, mend",
    [("corners", "name another --task-set"), ("test", "raise --num-tasks, or name")],
)
def test_too_few_distinct_tasks_are_refused_with_what_helps(tmp_path, task_set, mend):
    corners = {"environment": "point_corners", "environment_options": {"horizon": 4}}
    algorithm = small_varibad(reward_of="next_observation")
    saved_untrained(tmp_path, algorithm, **corners)
    with pytest.raises(ValueError, match=f"5 distinct tasks or more, not .: {mend}"):
        report(Options(tmp_path, task_set=task_set, num_tasks=40))


@pytest.mark.parametrize("option", ["num_tasks", "num_samples"])
def test_options_out_of_range_are_refused(option):
    name = option.replace("_", "-")
    with pytest.raises(ValueError, match=f"--{name} must be above 0, not 0"):
        Options(Path("run"), **{option: 0})


def test_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no run in"):
        report(Options(tmp_path))
