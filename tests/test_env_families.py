"""Each family against values worked out by hand or by the library it comes from."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments.classic_control import cartpole as gymnax_cartpole
from gymnax.environments.classic_control import pendulum as gymnax_pendulum
from task_draws import assert_uniform, drawn

import envs
from envs.adapters import TimedState
from envs.cartpole import CartPoleTask
from envs.pendulum import PendulumTask
from envs.point import PointState
from envs.point_corners import PointCornersState
from envs.point_half_circle import PointHalfCircleState
from envs.wrappers import TaskInObservation

KEY = jax.random.key(0)


def point_step(position, action, goal):
    env, _ = envs.make("point")
    state = PointState(jnp.array(position), jnp.int32(0))
    return env.step(KEY, state, jnp.array(action), jnp.array(goal))


def test_point_moves_by_a_tenth_of_the_action_and_pays_the_distance_left():
    observation, _, reward, terminated, _, _ = point_step(
        [0.1, -0.2], [0.5, -1.0], [0.45, 0.1]
    )
    np.testing.assert_allclose(observation, [0.15, -0.3], atol=1e-7)
    np.testing.assert_allclose(reward, -0.5, atol=1e-6)  # sides 0.3 and 0.4
    assert not terminated


def test_point_clips_actions_along_each_axis():
    observation = point_step([0.0, 0.0], [3.0, -0.5], [0.4, 0.4])[0]
    np.testing.assert_allclose(observation, [0.1, -0.05], atol=1e-7)


@pytest.mark.parametrize(
    ("goal", "reached"),
    [
        ([0.009, -0.009], True),
        ([0.011, 0.0], False),
        ([0.0, -0.011], False),
        ([0.0, 0.0], True),
    ],
)
def test_point_terminates_within_a_hundredth_along_both_axes(goal, reached):
    terminated = point_step([0.0, 0.0], [0.0, 0.0], goal)[3]
    assert bool(terminated) == reached


def test_point_starts_at_the_origin_whatever_the_key():
    env, _ = envs.make("point")
    for seed in range(3):
        observation, _ = env.reset(jax.random.key(seed), jnp.ones(2))
        np.testing.assert_array_equal(observation, [0.0, 0.0])


def test_point_has_the_published_goals_and_horizon():
    env, tasks = envs.make("point")
    np.random.seed(1)
    published = np.random.uniform(-0.5, 0.5, (40, 2))
    np.testing.assert_allclose(tasks.fixed["finn2017"](), published, rtol=1e-6)
    assert env.horizon == 100


def test_point_draws_goals_in_the_square_and_in_the_frame_around_it():
    _, tasks = envs.make("point")
    for sample in (tasks.train, tasks.test):
        for axis in range(2):
            assert_uniform(drawn(sample)[:, axis], -0.5, 0.5)
    outside = drawn(tasks.ood)
    reach = np.abs(outside).max(axis=1)
    assert (reach >= 0.5).all() and (reach <= 1.0).all()
    for axis in range(2):
        assert_uniform(outside[:, axis], -1.0, 1.0)


def corners_step(position, action, goal):
    env, _ = envs.make("point_corners")
    state = PointCornersState(jnp.array(position), jnp.int32(0))
    return env.step(KEY, state, jnp.array(action), jnp.array(goal))


def test_corners_move_by_a_fifth_of_the_action_clipped_along_each_axis():
    observation = corners_step([0.1, -0.2], [0.5, -3.0], [2.0, 2.0])[0]
    np.testing.assert_allclose(observation, [0.2, -0.4], atol=1e-7)


@pytest.mark.parametrize(
    ("position", "reward", "success"),
    [
        ([2.0, 2.0], 0.5, 1.0),
        ([1.82, 2.24], 0.2, 1.0),  # sides 0.18 and 0.24: at a distance of 0.3
        ([1.51, 2.0], 0.01, 1.0),
        ([1.49, 2.0], 0.0, 0.0),
        ([0.0, 0.0], 0.0, 0.0),
        ([-2.0, 2.0], 0.0, 0.0),
    ],
)
def test_corners_pay_what_is_left_of_the_radius_and_nothing_beyond(
    position, reward, success
):
    _, _, paid, terminated, _, info = corners_step(position, [0.0, 0.0], [2.0, 2.0])
    np.testing.assert_allclose(paid, reward, atol=1e-6)
    assert info["success"] == success
    assert not terminated


def test_corners_pay_for_where_the_move_ends():
    paid = corners_step([1.4, 2.0], [1.0, 0.0], [2.0, 2.0])[2]
    np.testing.assert_allclose(paid, 0.1, atol=1e-6)


def test_corners_start_uniformly_around_the_origin():
    env, _ = envs.make("point_corners")
    starts = drawn(lambda key: env.reset(key, jnp.ones(2))[0])
    for axis in range(2):
        assert_uniform(starts[:, axis], -0.2, 0.2)


def test_corners_draw_each_corner_equally_often_and_have_the_public_horizon():
    env, tasks = envs.make("point_corners")
    corners = [[-2, -2], [-2, 2], [2, -2], [2, 2]]
    assert sorted(tasks.fixed["corners"]().tolist()) == corners
    for sample in (tasks.train, tasks.test):
        found, counts = np.unique(drawn(sample), axis=0, return_counts=True)
        np.testing.assert_array_equal(found, corners)
        np.testing.assert_allclose(counts / 4096, 0.25, atol=0.03)
    assert env.horizon == 100


def test_corners_out_of_distribution_are_as_far_and_share_no_paid_point():
    _, tasks = envs.make("point_corners")
    goals = drawn(tasks.ood)
    np.testing.assert_allclose(np.linalg.norm(goals, axis=1), np.sqrt(8), rtol=1e-6)
    to_corners = goals[:, None] - np.asarray(tasks.fixed["corners"]())
    assert np.linalg.norm(to_corners, axis=-1).min() > 2 * 0.5
    assert {tuple(side) for side in np.round(goals / np.sqrt(8)).astype(int)} == {
        (1, 0),
        (0, 1),
        (-1, 0),
        (0, -1),
    }


def half_circle_step(position, action, goal, **options):
    env, _ = envs.make("point_half_circle", **options)
    state = PointHalfCircleState(jnp.array(position), jnp.int32(0))
    return env.step(KEY, state, jnp.array(action), jnp.array(goal))


@pytest.mark.parametrize(
    ("position", "distance", "sparse"),
    [
        ([0.0, 1.0], 0.0, 1.0),
        ([0.08, 0.94], 0.1, 0.9),  # sides 0.08 and 0.06
        ([0.0, 0.801], 0.199, 0.801),
        ([0.0, 0.799], 0.201, 0.0),
        ([0.6, 0.2], 1.0, 0.0),
    ],
)
def test_half_circle_pays_near_the_goal_alone_and_reports_both_rewards(
    position, distance, sparse
):
    still = [position, [0.0, 0.0], [0.0, 1.0]]
    for reward, expected in (("sparse", sparse), ("dense", -distance)):
        _, _, paid, terminated, _, info = half_circle_step(*still, reward=reward)
        np.testing.assert_allclose(paid, expected, atol=1e-6)
        np.testing.assert_allclose(info["sparse_reward"], sparse, atol=1e-6)
        np.testing.assert_allclose(info["dense_reward"], -distance, atol=1e-6)
        assert not terminated


def test_half_circle_pays_in_a_region_of_the_radius_asked_for():
    paid = half_circle_step([0.0, 0.75], [0.0, 0.0], [0.0, 1.0], goal_radius=0.3)[2]
    np.testing.assert_allclose(paid, 0.75, atol=1e-6)


def test_half_circle_moves_from_the_origin_by_up_to_a_tenth_along_each_axis():
    env, _ = envs.make("point_half_circle")
    np.testing.assert_array_equal(env.reset(KEY, jnp.ones(2))[0], [0.0, 0.0])
    assert env.horizon == 20
    moved = half_circle_step([0.1, -0.2], [0.5, -3.0], [0.0, 1.0])
    np.testing.assert_allclose(moved[0], [0.15, -0.3], atol=1e-7)
    np.testing.assert_allclose(moved[2], 0.0)  # of where the move ends


def test_half_circle_draws_goals_above_and_holds_out_those_below():
    _, tasks = envs.make("point_half_circle")
    angle = lambda goals: np.arctan2(goals[:, 1], goals[:, 0])
    for sample in (tasks.train, tasks.test):
        goals = drawn(sample)
        np.testing.assert_allclose(np.linalg.norm(goals, axis=1), 1.0, rtol=1e-6)
        assert_uniform(angle(goals), 0.0, np.pi)
    assert_uniform(angle(drawn(tasks.ood)), -np.pi, 0.0)


def test_half_circle_has_the_public_test_goals():
    """20 of 100 that divide the half circle; first and last are those of that code."""
    _, tasks = envs.make("point_half_circle")
    goals = tasks.fixed["rakelly2019"]()
    numbers = 99 / np.pi * np.arctan2(goals[:, 1], goals[:, 0])
    np.testing.assert_allclose(numbers, np.round(numbers), atol=1e-4)
    assert len(set(np.round(numbers))) == 20
    assert np.round(numbers[0]) == 66 and np.round(numbers[-1]) == 23


CARTPOLE = CartPoleTask(
    length=0.5, mass_cart=1.0, mass_pole=0.1, gravity=9.8, force=10.0
)
CARTPOLE_STATE = gymnax_cartpole.EnvState(
    x=0.1, x_dot=-0.3, theta=0.1, theta_dot=0.5, time=0
)


def cartpole_step(state, action, task):
    env, _ = envs.make("cartpole")
    state = TimedState(jax.tree.map(jnp.asarray, state), jnp.int32(0))
    return env.step(KEY, state, jnp.int32(action), task)


def cartpole_accelerations(state, action, task):
    """Barto, Sutton & Anderson (1983), without friction, in float64."""
    force = task.force if action == 1 else -task.force
    total = task.mass_cart + task.mass_pole
    sine, cosine = np.sin(state.theta), np.cos(state.theta)
    push = force + task.mass_pole * task.length * state.theta_dot**2 * sine
    angular = (task.gravity * sine - cosine * push / total) / (
        task.length * (4 / 3 - task.mass_pole * cosine**2 / total)
    )
    linear = (push - task.mass_pole * task.length * angular * cosine) / total
    return linear, angular


@pytest.mark.parametrize("action", [0, 1])
def test_cartpole_with_usual_physics_is_that_of_gymnax(action):
    env = gymnax_cartpole.CartPole()
    expected, _, reward, terminated, _ = env.step_env(
        KEY, CARTPOLE_STATE, action, env.default_params
    )
    ours = cartpole_step(CARTPOLE_STATE, action, CARTPOLE)
    np.testing.assert_allclose(ours[0], expected, rtol=1e-6)
    assert (ours[2], ours[3]) == (reward, terminated) == (1.0, False)


@pytest.mark.parametrize("action", [0, 1])
@pytest.mark.parametrize(
    "changed",
    [
        {"length": 0.9},
        {"mass_cart": 2.0},
        {"mass_pole": 0.4},
        {"gravity": 11.0},
        {"force": -6.0},
        {"length": 0.3, "mass_cart": 0.6, "mass_pole": 0.5, "force": 14.0},
    ],
)
def test_cartpole_with_changed_physics_follows_the_equations(changed, action):
    task = CARTPOLE._replace(**changed)
    state = CARTPOLE_STATE
    linear, angular = cartpole_accelerations(state, action, task)
    expected = [
        state.x + 0.02 * state.x_dot,
        state.x_dot + 0.02 * linear,
        state.theta + 0.02 * state.theta_dot,
        state.theta_dot + 0.02 * angular,
    ]
    observation = cartpole_step(state, action, task)[0]
    np.testing.assert_allclose(observation, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("last", "fallen"),
    [
        ({"theta": 0.209, "theta_dot": 0.0}, False),
        ({"theta": 0.209, "theta_dot": 0.5}, True),
        ({"x": -2.39, "x_dot": -1.0}, True),
        ({"x": -2.39, "x_dot": -0.4}, False),
    ],
)
def test_cartpole_ends_where_it_fell_and_does_not_start_again(last, fallen):
    state = CARTPOLE_STATE.replace(**last)
    observation, _, reward, terminated, _, _ = cartpole_step(state, 1, CARTPOLE)
    assert bool(terminated) == fallen
    assert reward == 1.0
    np.testing.assert_allclose(observation[0], state.x + 0.02 * state.x_dot, rtol=1e-6)
    angle = state.theta + 0.02 * state.theta_dot
    np.testing.assert_allclose(observation[2], angle, rtol=1e-6)


@pytest.mark.parametrize("signed", [False, True])
def test_cartpole_draws_within_its_ranges(signed):
    _, tasks = envs.make("cartpole", signed_force=signed)
    for sample in (tasks.train, tasks.test):
        task = drawn(sample)
        assert_uniform(task.length, 0.25, 1.0)
        assert_uniform(task.mass_cart, 0.5, 2.0)
        assert_uniform(task.mass_pole, 0.05, 0.5)
        assert_uniform(task.gravity, 8.0, 12.0)
        assert_uniform(np.abs(task.force), 5.0, 15.0)
        negative = float(np.mean(task.force < 0))
        assert negative == pytest.approx(0.5 if signed else 0.0, abs=0.03)
    outside = drawn(tasks.ood)
    assert_uniform(outside.length, 1.0, 1.5)
    assert_uniform(outside.mass_pole, 0.5, 1.0)


PENDULUM = PendulumTask(length=1.0, mass=1.0, gravity=10.0, torque=2.0)


def pendulum_step(theta, theta_dot, action, task):
    env, _ = envs.make("pendulum")
    theta, theta_dot = jnp.float32(theta), jnp.float32(theta_dot)
    state = gymnax_pendulum.EnvState(jnp.int32(0), theta, theta_dot, jnp.float32(0.0))
    state = TimedState(state, jnp.int32(0))
    return env.step(KEY, state, jnp.array([action], jnp.float32), task)


@pytest.mark.parametrize("action", [-1.0, 0.3, 1.0])
def test_pendulum_with_usual_physics_is_that_of_gymnax(action):
    env = gymnax_pendulum.Pendulum()
    state = gymnax_pendulum.EnvState(time=0, theta=2.0, theta_dot=-1.0, last_u=0.0)
    expected, _, reward, _, _ = env.step_env(
        KEY, state, jnp.array([2.0 * action]), env.default_params
    )
    ours = pendulum_step(2.0, -1.0, action, PENDULUM)
    np.testing.assert_allclose(ours[0], expected, rtol=1e-5)
    np.testing.assert_allclose(ours[2], reward, rtol=1e-6)


@pytest.mark.parametrize("action", [-0.7, 5.0])
@pytest.mark.parametrize(
    "changed",
    [
        {"length": 1.3},
        {"mass": 0.7},
        {"gravity": 8.0},
        {"torque": -1.5},
        {"length": 0.8, "mass": 1.2, "gravity": 12.0, "torque": 2.5},
    ],
)
def test_pendulum_with_changed_physics_follows_the_equations(changed, action):
    task = PENDULUM._replace(**changed)
    theta, theta_dot = 2.0, -1.0
    torque = task.torque * np.clip(action, -1, 1)
    acceleration = 1.5 * task.gravity / task.length * np.sin(theta)
    acceleration += 3 * torque / (task.mass * task.length**2)
    velocity = theta_dot + 0.05 * acceleration
    angle = theta + 0.05 * velocity
    reward = -(theta**2 + 0.1 * theta_dot**2 + 0.001 * torque**2)

    ours = pendulum_step(theta, theta_dot, action, task)
    expected = [np.cos(angle), np.sin(angle), velocity]
    np.testing.assert_allclose(ours[0], expected, rtol=1e-5)
    np.testing.assert_allclose(ours[2], reward, rtol=1e-6)
    assert not ours[3]


@pytest.mark.parametrize("signed", [False, True])
def test_pendulum_draws_within_its_ranges(signed):
    _, tasks = envs.make("pendulum", signed_torque=signed)
    for sample in (tasks.train, tasks.test):
        task = drawn(sample)
        assert_uniform(task.length, 0.7, 1.3)
        assert_uniform(task.mass, 0.7, 1.3)
        assert_uniform(task.gravity, 8.0, 12.0)
        assert_uniform(np.abs(task.torque), 1.5, 2.5)
        negative = float(np.mean(task.torque < 0))
        assert negative == pytest.approx(0.5 if signed else 0.0, abs=0.03)
    outside = drawn(tasks.ood)
    assert_uniform(outside.length, 1.3, 1.6)
    assert_uniform(outside.mass, 1.3, 1.6)


def test_bandit_pays_with_the_probability_of_the_arm_pulled():
    env, _ = envs.make("bernoulli_bandit", num_arms=3)
    task = jnp.array([0.2, 0.9, 0.5])
    keys = jax.random.split(KEY, 20_000)
    _, state = env.reset(KEY, task)
    pull = jax.jit(jax.vmap(env.step, in_axes=(0, None, None, None)))
    for arm in range(3):
        observation, _, reward, terminated, _, info = pull(keys, state, arm, task)
        assert set(np.unique(reward)) == {0.0, 1.0}
        # 5 standard errors of the mean of 20,000 pulls
        np.testing.assert_allclose(reward.mean(), task[arm], atol=5 * 0.5 / 20_000**0.5)
        np.testing.assert_allclose(info["regret"], 0.9 - task[arm], rtol=1e-6)
        assert (observation == 1.0).all()
        assert not terminated.any()


def test_bandit_has_as_many_arms_and_pulls_as_asked_for():
    env, tasks = envs.make("bernoulli_bandit", num_arms=7, horizon=30)
    assert (env.action_space.n, env.horizon) == (7, 30)
    arms = drawn(tasks.train)
    assert arms.shape == (4096, 7)
    assert_uniform(arms, 0.0, 1.0)


def test_gaussian_bandit_pays_the_mean_of_the_arm_pulled_plus_noise():
    env, _ = envs.make("gaussian_bandit", num_arms=3, reward_noise=0.5)
    task = jnp.array([-1.0, 2.0, 0.5])
    keys = jax.random.split(KEY, 20_000)
    _, state = env.reset(KEY, task)
    pull = jax.jit(jax.vmap(env.step, in_axes=(0, None, None, None)))
    for arm in range(3):
        _, _, reward, _, _, info = pull(keys, state, arm, task)
        # 5 standard errors, of the mean and of the standard deviation
        np.testing.assert_allclose(reward.mean(), task[arm], atol=5 * 0.5 / 20_000**0.5)
        np.testing.assert_allclose(reward.std(), 0.5, atol=5 * 0.5 / 40_000**0.5)
        np.testing.assert_allclose(info["regret"], 2.0 - task[arm], rtol=1e-6)


def test_gaussian_bandit_draws_standard_normal_means():
    env, tasks = envs.make("gaussian_bandit", num_arms=7, horizon=30)
    assert (env.action_space.n, env.horizon) == (7, 30)
    arms = drawn(tasks.train)
    assert arms.shape == (4096, 7)
    np.testing.assert_allclose(arms.mean(axis=0), 0.0, atol=5 / 4096**0.5)
    np.testing.assert_allclose(arms.std(axis=0), 1.0, atol=5 / 8192**0.5)


@pytest.mark.parametrize(
    ("name", "option", "value", "choices"),
    [
        ("bernoulli_bandit", "num_arms", 1, "num_arms must be an integer >= 2"),
        ("gaussian_bandit", "num_arms", 1, "num_arms must be an integer >= 2"),
        ("gaussian_bandit", "reward_noise", -1, "reward_noise must be a number >= 0"),
        ("gaussian_bandit", "reward_noise", math.inf, "a number >= 0.0, not inf"),
        ("gaussian_bandit", "reward_noise", math.nan, "a number >= 0.0, not nan"),
        ("cartpole", "signed_force", 1, "signed_force must be True or False"),
        ("point_half_circle", "goal_radius", -1, "goal_radius must be a number >= 0"),
        ("point_half_circle", "reward", "shaped", "must be one of sparse, dense"),
        ("pendulum", "signed_torque", None, "signed_torque must be True or False"),
    ],
)
def test_options_out_of_range_name_the_valid_choices(name, option, value, choices):
    with pytest.raises(ValueError, match=choices):
        envs.make(name, **{option: value})


def test_oracle_sees_training_tasks_in_unit_range():
    env, tasks = envs.make("cartpole")
    oracle = TaskInObservation(env, tasks)
    reset = jax.jit(jax.vmap(oracle.reset))
    keys = jax.random.split(KEY, 4096)
    told = np.asarray(reset(keys, drawn(tasks.train))[0])[:, 4:]
    np.testing.assert_allclose(told.min(axis=0), -1.0, atol=0.02)
    np.testing.assert_allclose(told.max(axis=0), 1.0, atol=0.02)


def test_oracle_changes_nothing_but_the_observation():
    env, tasks = envs.make("cartpole")
    oracle = TaskInObservation(env, tasks)
    task = tasks.test(KEY)
    observation, state = env.reset(KEY, task)
    told, same_state = oracle.reset(KEY, task)
    np.testing.assert_array_equal(told[:4], observation)
    plain, wrapped = (e.step(KEY, state, jnp.int32(1), task) for e in (env, oracle))
    np.testing.assert_array_equal(wrapped[0][:4], plain[0])
    np.testing.assert_array_equal(wrapped[0][4:], told[4:])
    jax.tree.map(np.testing.assert_array_equal, wrapped[1:], plain[1:])
    jax.tree.map(np.testing.assert_array_equal, same_state, state)
