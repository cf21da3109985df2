"""Families of robots: rewards and tasks, with a stand-in for the physics."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fake_robot import FAKE_ROBOT, FakeRobot
from task_draws import assert_uniform, drawn

import envs
from envs.robots import bodies, robot

KEY = jax.random.key(0)


@pytest.fixture
def make_fake(monkeypatch):
    """`envs.make` of robots, without a robot."""
    monkeypatch.setattr(robot, "load_brax", lambda *_, **__: FAKE_ROBOT)
    alike = bodies.Body(mass=np.zeros(1), inertia=None, damping=None, friction=None)
    monkeypatch.setattr(bodies, "usual_body", lambda system: alike)
    monkeypatch.setattr(bodies, "with_body", lambda brax_env, body: brax_env)
    return envs.make


def first_step(env, action, task):
    _, state = env.reset(KEY, task)
    return env.step(KEY, state, jnp.array(action), task)


def test_physics_is_traced_once_for_all_families_and_programs(make_fake, monkeypatch):
    class Counting(FakeRobot):
        traced = 0

        def step(self, state, action):
            self.traced += 1
            return super().step(state, action)

    counting = Counting()
    monkeypatch.setattr(robot, "load_brax", lambda *_, **__: counting)
    for family, task in (
        ("half_cheetah_velocity", 1.5),
        ("half_cheetah_direction", 1.0),
    ):
        env, _ = make_fake(family)
        for _ in range(2):
            jax.jit(lambda env=env, task=task: first_step(env, (0.5, 0.1), task)[0])()
    assert counting.traced == 1


# The action is (0.5, -7), clipped to (0.5, -1), which are the velocities and, as steps
# are of 1 s, the position; its squares sum to 1.25.
REWARDS = [
    # Finn et al.: -|v - target| - 0.05 ||a||^2
    ("half_cheetah_velocity", 1.5, -1.0 - 0.05 * 1.25),
    ("half_cheetah_direction", 1.0, 0.5 - 0.05 * 1.25),
    ("half_cheetah_direction", -1.0, -0.5 - 0.05 * 1.25),
    # Finn et al.: 1 - |v - target| or direction v, - 0.005 ||a||^2 + 0.05
    ("ant_velocity", 2.0, 1.0 - 1.5 - 0.005 * 1.25 + 0.05),
    ("ant_direction", 1.0, 0.5 - 0.005 * 1.25 + 0.05),
    ("ant_direction", -1.0, -0.5 - 0.005 * 1.25 + 0.05),
    # Rothfuss et al.: direction . v - 0.5 ||a||^2 + 1; straight right is -pi / 2
    ("ant_any_direction", -np.pi / 2, 1.0 - 0.5 * 1.25 + 1.0),
    ("ant_any_direction", np.pi / 4, -0.5 * 0.5**0.5 - 0.5 * 1.25 + 1.0),
    # Rakelly et al.: -|x - goal_x| - |y - goal_y| - 0.1 ||a||^2
    ("ant_goal", [2.0, 1.0], -1.5 - 2.0 - 0.1 * 1.25),
    # Rothfuss et al.: 15 - |v - target| or direction v + 1, - 0.001 ||a||^2
    ("walker_velocity", 4.0, 15.0 - 3.5 - 0.001 * 1.25),
    ("walker_direction", -1.0, -0.5 + 1.0 - 0.001 * 1.25),
    ("hopper_velocity", 2.0, 3.0 - 1.5 - 0.001 * 1.25),
    ("hopper_direction", 1.0, 0.5 + 1.0 - 0.001 * 1.25),
    # 1.25 direction . v - 0.1 ||0.4 a||^2 + 5
    ("humanoid_direction", -np.pi / 2, 1.25 - 0.1 * 0.16 * 1.25 + 5.0),
    ("humanoid_direction", 0.0, 1.25 * 0.5 - 0.1 * 0.16 * 1.25 + 5.0),
    # gym: -||tip - goal|| - ||a||^2; a triangle of sides 3, 4 and 5
    ("reacher_goal", [0.2, -0.6], -0.5 - 1.25),
    # rand_param_envs: v + 1 - 0.001 ||a||^2; gym: 1
    ("walker_params", 0.0, 0.5 + 1.0 - 0.001 * 1.25),
    ("hopper_params", 0.0, 0.5 + 1.0 - 0.001 * 1.25),
    ("inverted_pendulum_params", 0.0, 1.0),
]


@pytest.mark.parametrize(("name", "task", "expected"), REWARDS)
def test_reward_is_that_of_the_source(make_fake, name, task, expected):
    env, _ = make_fake(name)
    *_, reward, _, _, info = first_step(env, [0.5, -7.0], jnp.array(task))
    np.testing.assert_allclose(reward, expected, atol=1e-6)
    measured = {"x_velocity": 0.5, "y_velocity": -1.0, "reward_dist": -0.5}
    measured |= {"x_position": 0.5, "y_position": -1.0, "diverged": 0.0}
    for scalar in info:
        np.testing.assert_allclose(info[scalar], measured[scalar], rtol=1e-6)
    assert "diverged" in info


def test_every_family_of_robots_has_a_reward_that_is_tested():
    robots = {name for name, where in envs.ENVIRONMENTS.items() if "robots" in where}
    assert {name for name, *_ in REWARDS} == robots


def test_numbers_in_an_action_that_are_none_count_as_zero(make_fake):
    env, _ = make_fake("ant_goal")
    task = jnp.array([2.0, 1.0])
    still, none = (first_step(env, [value, 0.5], task) for value in (0.0, jnp.nan))
    jax.tree.map(np.testing.assert_array_equal, still[2:], none[2:])


DIVERGING = [
    ("half_cheetah_velocity", 1.5, -1.5),
    ("half_cheetah_direction", -1.0, 0.0),
    ("ant_goal", [2.0, -1.0], -3.0),
    ("ant_velocity", 0.5, 0.0),  # to stand still would have paid 0.55
    ("ant_velocity", 2.05, -1.0),
    ("ant_any_direction", 1.0, 0.0),
    ("humanoid_direction", 1.0, 0.0),
    ("walker_velocity", 10.0, 0.0),
    ("hopper_velocity", 3.5, -0.5),
    ("hopper_direction", 1.0, 0.0),
    ("reacher_goal", [0.21, -0.1], -0.1),
]


# in the third step not finite, too far away, or too fast
@pytest.mark.parametrize("action", [[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
@pytest.mark.parametrize(("name", "task", "still"), DIVERGING)
def test_diverged_simulation_ends_counted_and_pays_no_more_than_to_stand_still(
    make_fake, name, task, still, action
):
    env, _ = make_fake(name, horizon=10)
    observation, state = env.reset(KEY, jnp.array(task))
    for time in range(1, 4):
        before = observation
        observation, state, reward, terminated, truncated, info = env.step(
            KEY, state, jnp.array(action), jnp.array(task)
        )
        assert bool(terminated) == (time == 3)
        assert info["diverged"] == (time == 3)
    np.testing.assert_array_equal(observation, before)
    np.testing.assert_allclose(reward, still * 8, rtol=1e-6)  # for steps 3 to 10
    assert not truncated


def test_robot_that_falls_ends_the_episode_with_an_ordinary_reward(make_fake):
    env, _ = make_fake("ant_direction", horizon=10)
    _, state = env.reset(KEY, 1.0)
    for time in range(1, 4):
        _, state, reward, terminated, truncated, info = env.step(
            KEY, state, jnp.array([-1.0, 0.0]), 1.0
        )
        assert bool(terminated) == (time == 3)
        np.testing.assert_allclose(reward, -1.0 - 0.005 + 0.05, rtol=1e-6)
        assert info["diverged"] == 0.0
    assert state.simulator.metrics["x_position"] == -3.0  # the step has been made
    assert not truncated


def test_step_leaves_the_metrics_of_the_old_state_alone(make_fake):
    env, _ = make_fake("half_cheetah_velocity")
    _, state = env.reset(KEY, jnp.float32(1.0))
    env.step(KEY, state, jnp.array([0.5, 0.0]), jnp.float32(1.0))
    assert state.simulator.metrics["x_velocity"] == 0.0


@pytest.mark.parametrize(
    ("name", "fastest", "outside"),
    [
        ("half_cheetah_velocity", 2.0, 3.0),
        ("ant_velocity", 3.0, 4.0),
        ("walker_velocity", 10.0, 12.0),
        ("hopper_velocity", 3.0, 4.0),
    ],
)
def test_targets_are_uniform_and_faster_ones_outside(make_fake, name, fastest, outside):
    env, tasks = make_fake(name)
    assert env.horizon == 200
    assert_uniform(drawn(tasks.train), 0.0, fastest)
    assert_uniform(drawn(tasks.test), 0.0, fastest)
    assert_uniform(drawn(tasks.ood), fastest, outside)


@pytest.mark.parametrize("robot_name", ["half_cheetah", "ant", "walker", "hopper"])
def test_both_directions_are_drawn_equally_often(make_fake, robot_name):
    _, tasks = make_fake(f"{robot_name}_direction")
    for sample in (tasks.train, tasks.test):
        found, counts = np.unique(drawn(sample), return_counts=True)
        np.testing.assert_array_equal(found, [-1.0, 1.0])
        np.testing.assert_allclose(counts / 4096, 0.5, atol=0.03)
    np.testing.assert_array_equal(tasks.fixed["directions"](), found)


@pytest.mark.parametrize("name", ["ant_any_direction", "humanoid_direction"])
def test_directions_straight_back_are_held_out_of_all_others(make_fake, name):
    _, tasks = make_fake(name)
    edge = np.pi - np.pi / 8
    for sample in (tasks.train, tasks.test):
        assert_uniform(drawn(sample), -edge, edge)
    back = drawn(tasks.ood)
    assert_uniform(np.abs(back), edge, np.pi)
    np.testing.assert_allclose(np.mean(back > 0), 0.5, atol=0.03)


def test_ant_draws_goals_on_a_disc_and_holds_out_those_around_it(make_fake):
    env, tasks = make_fake("ant_goal")
    assert env.horizon == 200
    for sample in (tasks.train, tasks.test):
        goals = drawn(sample)
        assert_uniform(np.sum(goals**2, axis=1), 0.0, 9.0)  # as area does
        assert_uniform(np.arctan2(goals[:, 1], goals[:, 0]), -np.pi, np.pi)
    reach = np.abs(drawn(tasks.ood)).max(axis=1)
    assert (reach >= 3.0).all() and (reach <= 4.0).all()


@pytest.mark.parametrize(
    ("option", "value", "mend"),
    [
        ("backend", "bullet", "must be one of spring, positional, generalized, mjx"),
        ("backend", None, "must be one of spring, positional, generalized, mjx"),
        ("physics_step", 0.3, "must divide the control step of 1 s, as 0.333333 does"),
        ("physics_step", 2.0, "must divide the control step of 1 s, as 1 does"),
        ("physics_step", -1, "physics_step must be a number >= 1e-09, not -1"),
        ("physics_step", "0.1", "physics_step must be a number >= 1e-09, not '0.1'"),
    ],
)
def test_options_out_of_range_name_the_mend(make_fake, option, value, mend):
    with pytest.raises(ValueError, match=mend) as error:
        make_fake("ant_velocity", **{option: value})
    assert "\n" not in str(error.value)


@pytest.fixture
def make_new(monkeypatch):
    """`make_fake` of a robot that has drawn no states yet."""
    new = FakeRobot()
    monkeypatch.setattr(robot, "load_brax", lambda *_, **__: new)
    return envs.make


def test_making_a_robot_compiles_nothing(make_new, caplog):
    compiled = lambda: [line for line in caplog.messages if "ompil" in line]
    with jax.log_compiles():
        env, _ = make_new("ant_velocity", physics_step=0.5)
        assert not compiled()
        env.reset(KEY, 0.0)
        assert compiled()


@pytest.mark.parametrize(
    "transform",
    [
        lambda reset: jax.jit(lambda key, task: jax.vmap(reset)(key[None], task[None])),
        lambda reset: functools.partial(jax.eval_shape, reset),
    ],
    ids=["vmap", "eval_shape"],
)
def test_states_to_start_in_may_be_drawn_while_a_function_is_traced(
    make_new, transform
):
    env, _ = make_new("ant_velocity")
    with jax.checking_leaks():
        transform(env.reset)(KEY, jnp.float32(0.0))
    observation, _ = env.reset(KEY, jnp.float32(0.0))
    inside, _ = jax.jit(env.reset)(KEY, jnp.float32(0.0))
    np.testing.assert_array_equal(observation, inside)
    assert observation[1] > 0.0


def test_families_share_a_robot_of_equal_physics(make_fake):
    step = {"physics_step": 0.25}
    first, second = make_fake("ant_velocity", **step), make_fake("ant_goal", **step)
    other, _ = make_fake("ant_velocity", physics_step=0.5)
    assert first[0]._env is second[0]._env
    assert first[0]._env is not other._env


def test_episodes_start_in_states_that_the_robot_drew_itself(make_fake):
    env, _ = make_fake("ant_velocity")
    starts = set(np.asarray(drawn(lambda key: env.reset(key, 0.0)[0]))[:, 1].tolist())
    assert len(starts) == 256
    assert 0.0 <= min(starts) and max(starts) <= 1e-3
