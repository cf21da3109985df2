"""The physics table: what is measured, refused and shown, on a simulation by hand."""

import contextlib
import importlib.util
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest
from gymnax.environments import spaces

import envs
from envs.options import checked_choice
from envs.tasks import TaskDistribution
from experiments import physics_in_c, physics_measure
from experiments.physics import Options, plan
from experiments.physics_measure import physics_row, row_in_c
from experiments.physics_plan import PhysicsPlan, planned
from experiments.physics_results import Physics

STEP = 0.1  # s, of the physics
PLAN = PhysicsPlan("half_cheetah_velocity", "spring", (2, 4), None)


class Option(NamedTuple):
    timestep: float


class System(NamedTuple):
    opt: Option


class Spring:
    """A mass on a spring, of which too long steps diverge; ten are a control step."""

    action_space = spaces.Box(-1.0, 1.0, (1,))
    control_step = 10 * STEP

    def __init__(self, physics_step=None):
        self._step = STEP if physics_step is None else physics_step

    def system(self, task):
        return System(Option(self._step))

    def reset(self, key, task):
        state = jnp.array([1.0, 0.0])
        return state, state

    def step(self, key, state, action, task):
        for _ in range(round(self.control_step / self._step)):
            velocity = state[1] + self._step * (action[0] - task * state[0])
            state = jnp.stack([state[0] + self._step * velocity, velocity])
        diverged = ~(jnp.abs(state).max() < 1e4)
        info = {"diverged": diverged.astype(float)}
        return state, state, jnp.float32(0), diverged, jnp.bool_(False), info


# the spring is so stiff that 0.2 s is stable and 0.5 not
TASKS = TaskDistribution(train=lambda key: jnp.float32(50.0), test=None)


@pytest.fixture(scope="module", autouse=True)
def springs():
    """In place of robots."""
    make = lambda family, backend, **options: (Spring(**options), TASKS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(envs, "make", make)
        yield


@pytest.fixture(scope="module")
def row(tmp_path_factory):
    return physics_row(PLAN, tmp_path_factory.mktemp("row") / "turn")


def test_speeds_are_of_every_number_of_robots(row):
    assert [speed["num_robots"] for speed in row["speeds"]] == [2, 4]
    for speed in row["speeds"]:
        low, high = speed["steps_per_second_min"], speed["steps_per_second_max"]
        assert 0 < low <= speed["steps_per_second"] <= high
        assert speed["compile_seconds"] > 0
    assert row["left_out"] == []


def test_longer_steps_are_tried_until_one_diverges(row):
    stability = row["stability"]
    steps = [entry["physics_step"] for entry in stability]
    assert steps == pytest.approx([0.1, 0.2, 0.5])
    assert [entry["num_diverged"] for entry in stability] == [0, 0, 256]


def test_row_without_time_says_what_is_left_out(tmp_path):
    hurried = PhysicsPlan(PLAN.family, PLAN.backend, PLAN.num_robots, 1e-9)
    row = physics_row(hurried, tmp_path / "turn")
    assert row["speeds"] == row["stability"] == []
    assert row["left_out"][:2] == ["2 robots", "4 robots"]
    assert row["left_out"][2] == "physics steps of 1 times the family's own and more"


def test_backend_without_the_family_is_no_failure(tmp_path, monkeypatch):
    def refuse(family, backend):
        checked_choice("backend", backend, ["mjx"])

    monkeypatch.setattr(envs, "make", refuse)
    row = physics_row(PLAN, tmp_path / "turn")
    assert row == {"refused": "backend must be one of mjx, not 'spring'"}


def test_error_that_is_no_refusal_is_not_taken_for_one(tmp_path, monkeypatch):
    def fail(family, backend):
        raise ValueError("masses must be above 0")

    monkeypatch.setattr(envs, "make", fail)
    with pytest.raises(ValueError, match="masses must be above 0"):
        physics_row(PLAN, tmp_path / "turn")


def test_nothing_is_compiled_while_others_wait(tmp_path, monkeypatch):
    """Each program is compiled before its turn begins."""
    log = []

    @contextlib.contextmanager
    def turn(path):
        log.append("turn")
        yield

    lower = jax.stages.Lowered.compile

    def compile_(self, *args, **options):
        log.append("compile")
        return lower(self, *args, **options)

    monkeypatch.setattr(physics_measure, "_alone", turn)
    monkeypatch.setattr(jax.stages.Lowered, "compile", compile_)
    robots = physics_measure._robots(Spring(), TASKS, 2, tmp_path / "turn")
    physics_measure._speed(Spring(), robots, tmp_path / "turn")
    assert log == ["compile", "turn"] * 2


def test_mujoco_in_c_without_gymnasium_says_what_to_do(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install gymnasium, or leave"):
        physics_in_c.measure("ant_velocity")


def test_mujoco_in_c_has_no_robot_for_some_families():
    with pytest.raises(ValueError, match="no robot for point; choose families of half"):
        physics_in_c.robot_of("point")


def test_nothing_new_begins_where_the_longest_lap_would_not_fit():
    clock = physics_measure._Clock(1.0)
    assert clock.has_time()
    with clock.lap():
        time.sleep(0.6)
    assert not clock.has_time()


def test_random_actions_move_every_robot_on_its_own(tmp_path):
    env = Spring()
    robots = physics_measure._robots(env, TASKS, 3, tmp_path / "turn")
    assert len(jnp.unique(jax.random.key_data(robots.key), axis=0)) == 3
    diverged = jax.vmap(physics_measure.simulate(env, 5))(robots)
    assert diverged.shape == (3,) and not diverged.any()


@pytest.mark.parametrize(
    "family, environment, control_step",
    [
        ("ant_direction", "Ant-v5", 0.05),
        ("half_cheetah_velocity", "HalfCheetah-v5", 0.05),
        ("humanoid_direction", "Humanoid-v5", 0.015),
        ("walker_params", "Walker2d-v5", 0.008),
        ("hopper_velocity", "Hopper-v5", 0.008),
        ("reacher_goal", "Reacher-v5", 0.02),
        ("inverted_pendulum_params", "InvertedPendulum-v5", 0.04),
    ],
)
def test_mujoco_in_c_is_measured_on_the_same_robot(
    family, environment, control_step, tmp_path, monkeypatch
):
    monkeypatch.setattr(physics_in_c, "_SECONDS", 1e-3)
    monkeypatch.setattr(physics_in_c, "_EPISODE_STEPS", 5)
    row = row_in_c(PhysicsPlan(family, "mujoco_c", (2,), None), tmp_path / "turn")
    assert row["environment"] == environment
    assert row["control_step"] == pytest.approx(control_step)
    assert row["steps_per_second"] > 0


@pytest.mark.parametrize(
    "options, message",
    [
        ({"families": "point"}, "no family of robots 'point'; choose from ant_"),
        ({"backends": "bullet"}, "no backend 'bullet'; choose from spring, .*mujoco_c"),
        ({"robots": "64,0"}, "--robots takes numbers above 0, not 64,0"),
        ({"robots": "many"}, "--robots takes numbers above 0, not many"),
        ({"seconds": 0.0}, "--seconds must be above 0, not 0"),
        ({"processes": 0}, "--processes must be above 0, not 0"),
    ],
)
def test_bad_options_are_refused_in_one_line(options, message):
    with pytest.raises(ValueError, match=message):
        plan(Options(**options))


def test_table_shows_every_row(tmp_path):
    backends = "spring,positional,mjx,mujoco_c"
    rows = planned("ant_velocity", backends, "64,256", 60.0)
    folder = Physics(tmp_path, rows)
    folder.prepare(list(rows))
    speed = {
        "num_robots": 64,
        "steps_per_second": 12_345.0,
        "compile_seconds": 9.5,
        "program_memory_mb": 33.24,
    }
    stability = [
        {"physics_step": 0.005, "num_diverged": 0},
        {"physics_step": 0.01, "num_diverged": 3},
    ]
    folder.record(
        "ant_velocity/spring",
        {
            "physics_step": 0.005,
            "speeds": [speed],
            "stability": stability,
            "left_out": ["256 robots"],
        },
    )
    in_c = {"environment": "Ant-v5", "steps_per_second": 2.5e6}
    folder.record("ant_velocity/mujoco_c", in_c)
    folder.record_failure("ant_velocity/mjx", "no memory")
    folder.record("ant_velocity/positional", {"refused": "backend must be spring"})
    folder.write()
    text = (tmp_path / "table.md").read_text()
    assert (
        "| ant_velocity | spring | 12.3 k |  | 9.5 | 33.2 | 5 | 5 | "
        "no time for 256 robots |"
    ) in text
    assert "| ant_velocity | mujoco_c | 2.50 M (1 robot) |" in text
    assert "| ant_velocity | mjx | failed: no memory |" in text
    assert "| ant_velocity | positional | backend must be spring |" in text
    assert folder.is_done("ant_velocity/spring")
    assert not folder.is_done("ant_velocity/mjx")
