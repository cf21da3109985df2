"""What every registered environment keeps to; a new one is tested by being there.

The families of one robot differ in rewards and tasks alone. So that not each of them
is compiled, one has the physics of the robot (see `simulated`) and the others have a
stand-in for it; and of a robot only the vmapped programs are compiled.
"""

import copy
import functools
import subprocess
import sys
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fake_robot import FAKE_ROBOT, FakeRobot
from gymnax.environments import spaces
from jax.flatten_util import ravel_pytree

import envs
from envs.adapters import COMPILE_FAST
from envs.robots import robot
from envs.wrappers import TaskInObservation

HORIZON = 5
STEPS = 2 * HORIZON

# one family of each robot: that with the most of its physics in the task, and the ant
# that observes where it is
SIMULATED = (
    "ant_goal",
    "half_cheetah_velocity",
    "hopper_params",
    "humanoid_direction",
    "inverted_pendulum_params",
    "reacher_goal",
    "walker_params",
)
ONLY_VMAPPED = set(SIMULATED) - {"inverted_pendulum_params"}  # not one by one
# simulated by `make test-robots` alone: they compile for minutes
AT_LENGTH = ("humanoid_direction", "reacher_goal", "walker_params")
# training tasks fill a disc, and those out of distribution a ring around it
ON_DISCS = ("reacher_goal",)


def named(names):
    """Parametrizes by names."""
    marks = lambda name: [pytest.mark.robots] if name in AT_LENGTH else []
    params = [pytest.param(name, marks=marks(name)) for name in sorted(names)]
    return pytest.mark.parametrize("name", params)


every_environment = named(envs.ENVIRONMENTS)
every_robot = named(SIMULATED)


class Trajectory(NamedTuple):
    """What STEPS steps gave, [STEPS, ...]."""

    observation: Any
    reward: Any
    terminated: Any
    truncated: Any
    info: Any


def is_robot(name):
    return envs.ENVIRONMENTS[name].startswith("envs.robots")


@functools.cache
def made(name):
    if not is_robot(name) or name in SIMULATED:
        return envs.make(name, horizon=HORIZON)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(robot, "load_brax", lambda *_, **__: FAKE_ROBOT)
        return envs.make(name, horizon=HORIZON)


def num_lanes(name):
    """Trajectories of the vmapped program."""
    return 8 if is_robot(name) else 64


def unrolled(env, key, state, actions, task):
    """Steps through `actions`, whatever ends on the way: state and trajectory."""

    def step(state, inputs):
        observation, state, *rest = env.step(inputs[0], state, inputs[1], task)
        return state, Trajectory(observation, *rest)

    keys = jax.random.split(key, STEPS)
    return jax.lax.scan(step, state, (keys, actions))


@functools.cache
def programs(name, vmapped):
    """`reset` and `unrolled`, each compiled once: for one lane or for all of them."""
    env, _ = made(name)
    reset, unroll = env.reset, functools.partial(unrolled, env)
    if vmapped:
        reset, unroll = jax.vmap(reset), jax.vmap(unroll)
    options = {"compiler_options": COMPILE_FAST}
    return jax.jit(reset, **options), jax.jit(unroll, **options)


@functools.cache
def single_programs(name):
    """`reset` and `unrolled` of one lane; of a robot, one lane of the vmapped ones."""
    if name not in ONLY_VMAPPED:
        return programs(name, False)

    def in_lanes(program):
        def one(*arguments):
            batch = jax.tree.map(
                lambda leaf: jnp.stack([leaf] * num_lanes(name)), arguments
            )
            return jax.tree.map(lambda leaf: leaf[0], program(*batch))

        return one

    return tuple(in_lanes(program) for program in programs(name, True))


def trajectory(name, key, actions, task, vmapped=False):
    reset, unroll = programs(name, True) if vmapped else single_programs(name)
    return unroll(key, reset(key, task)[1], actions, task)[1]


@functools.cache
def lanes(name):
    """Keys, random actions and training tasks, [num_lanes, ...] each."""
    env, tasks = made(name)
    number = num_lanes(name)
    unroll_key, action_key, task_key = jax.random.split(jax.random.key(0), 3)
    action_keys = jax.random.split(action_key, (number, STEPS))
    return (
        jax.random.split(unroll_key, number),
        jax.jit(jax.vmap(jax.vmap(env.action_space.sample)))(action_keys),
        jax.jit(jax.vmap(tasks.train))(jax.random.split(task_key, number)),
    )


def far_lanes(name):
    """`lanes`, where each lane holds one extreme action: far rewards are met too."""
    keys, actions, tasks = lanes(name)
    if isinstance(made(name)[0].action_space, spaces.Box):
        actions = jnp.broadcast_to(jnp.sign(actions[:, :1]), actions.shape)
    return keys, actions, tasks


def lane(name, index):
    return jax.tree.map(lambda leaf: leaf[index], lanes(name))


@functools.cache
def vmapped_trajectory(name):
    return trajectory(name, *lanes(name), vmapped=True)


@functools.cache
def draws(sample):
    """Flat tasks, [4096, number of parameters]."""
    keys = jax.random.split(jax.random.key(0), 4096)
    return np.asarray(jax.jit(jax.vmap(lambda key: ravel_pytree(sample(key))[0]))(keys))


def attributes(obj):
    """The attributes of an object, and of the objects that these hold."""
    found = dict(vars(obj))
    for name, value in vars(obj).items():
        if hasattr(value, "__dict__") and not isinstance(value, type):
            found |= {f"{name}.{inner}": held for inner, held in vars(value).items()}
    return found


def untraced(name):
    """A copy of an environment, whose step was not traced before.

    That of a robot has the stand-in's physics, with the parameters of its own where a
    task changes them: to look for leaks in brax takes a minute.
    """
    env = copy.copy(made(name)[0])
    if is_robot(name):
        physics, env._env = env._env, FakeRobot()
        if env._vary:
            env._env.sys, env._env.backend = physics.sys, physics.backend
    elif hasattr(env, "_env"):
        env._env = copy.copy(env._env)
    return env


@every_environment
def test_types_and_shapes_are_those_of_the_protocol(name):
    env, _ = made(name)
    keys, actions, tasks = lanes(name)
    reset, unroll = programs(name, True)
    first, state = reset(keys, tasks)
    last_state, steps = unroll(keys, state, actions, tasks)
    lane, step = (num_lanes(name),), (num_lanes(name), STEPS)

    for array, batch in ((first, lane), (steps.observation, step)):
        assert array.shape == batch + env.observation_space.shape
        assert array.dtype == env.observation_space.dtype
    assert (steps.reward.shape, steps.reward.dtype) == (step, jnp.float32)
    for end in (steps.terminated, steps.truncated):
        assert (end.shape, end.dtype) == (step, jnp.bool_)
    assert all(scalars.shape == step for scalars in steps.info.values())
    kinds = lambda state: jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state)
    assert kinds(last_state) == kinds(state)


@every_environment
def test_continuous_actions_are_in_minus_one_to_one(name):
    space = made(name)[0].action_space
    assert isinstance(space, spaces.Discrete) or (space.low, space.high) == (-1, 1)


@every_environment
def test_spaces_hold_along_random_actions(name):
    env, _ = made(name)
    keys, _, tasks = lanes(name)
    steps = vmapped_trajectory(name)
    ended = steps.terminated | steps.truncated
    alive = jnp.cumsum(ended, axis=1) - ended == 0
    contains = jax.vmap(env.observation_space.contains)
    assert contains(programs(name, True)[0](keys, tasks)[0]).all()
    assert (jax.vmap(contains)(steps.observation) | ~alive).all()
    assert jnp.isfinite(steps.reward).all()


COUNTED = {"bernoulli_bandit": 1, "gaussian_bandit": 1, "tabular_mdp": 10}


@every_environment
def test_states_that_are_counted_are_observed_one_hot(name):
    env, _ = made(name)
    assert getattr(env, "num_states", 0) == COUNTED.get(name, 0)
    if name in COUNTED:
        observation = vmapped_trajectory(name).observation
        assert observation.shape == (num_lanes(name), STEPS, COUNTED[name])
        np.testing.assert_array_equal(np.sort(observation)[..., -1], 1)
        np.testing.assert_array_equal(observation.sum(axis=-1), 1)
        assert np.all(observation.sum(axis=(0, 1)) > 0)  # each is met


@every_environment
def test_vmap_over_tasks_equals_a_loop(name):
    """Of most robots, equals a batch that has the same task in all lanes."""
    batched = vmapped_trajectory(name)
    for index in range(4):
        jax.tree.map(
            lambda all_lanes, one: np.testing.assert_allclose(
                all_lanes[index],  # noqa: B023
                one,
                rtol=1e-3,
                atol=1e-3,
            ),
            batched,
            trajectory(name, *lane(name, index)),
        )


@every_environment
def test_equal_keys_give_equal_trajectories(name):
    first, second = (trajectory(name, *lane(name, 0)) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, first, second)


@every_environment
def test_horizon_truncates_exactly_at_its_last_step(name):
    steps = np.arange(1, STEPS + 1)
    truncated = vmapped_trajectory(name).truncated
    assert (np.asarray(truncated) == (steps >= HORIZON)).all()


@every_environment
def test_step_does_not_reset_at_the_horizon(name):
    """An episode goes on past its horizon as it does when time is left.

    A state counts its steps in `time`, so that a test can set the clock back.
    """
    key, actions, task = lane(name, 0)
    reset, unroll = single_programs(name)
    _, state = reset(key, task)
    _, late = unroll(key, state, actions, task)
    _, early = unroll(key, state._replace(time=state.time - STEPS), actions, task)
    assert late.truncated.any() and not early.truncated.any()
    for field in ("observation", "reward", "terminated"):
        np.testing.assert_array_equal(getattr(late, field), getattr(early, field))


@every_environment
def test_extreme_actions_give_finite_observations_and_rewards(name):
    env, _ = made(name)
    key, actions, task = lane(name, 0)
    if isinstance(env.action_space, spaces.Discrete):
        extremes = [0, env.action_space.n - 1]
    else:
        extremes = [-1.0, 1.0, 1e30, -jnp.inf, jnp.inf]
        if is_robot(name):
            extremes.append(jnp.nan)
    for extreme in extremes:
        steps = trajectory(name, key, jnp.full_like(actions, extreme), task)
        assert jnp.isfinite(steps.observation).all()
        assert jnp.isfinite(steps.reward).all()


@named(
    name
    for name in envs.ENVIRONMENTS
    if name in SIMULATED or isinstance(made(name)[0].action_space, spaces.Box)
)
def test_actions_beyond_the_box_count_as_its_edge(name):
    key, actions, task = lane(name, 0)
    edge, beyond = (
        trajectory(name, key, jnp.full_like(actions, value), task)
        for value in (1.0, jnp.inf)
    )
    jax.tree.map(np.testing.assert_array_equal, edge, beyond)


@every_environment
def test_every_task_parameter_changes_the_trajectory(name):
    keys, actions, tasks = far_lanes(name)
    leaves, structure = jax.tree.flatten(tasks)

    def outcome(changed=None):
        """All lanes in task 0, but for the `changed` parameter, which is task 1's."""
        parts = [leaf[int(i == changed)] for i, leaf in enumerate(leaves)]
        batch = [
            jnp.broadcast_to(part, (num_lanes(name), *part.shape)) for part in parts
        ]
        task = jax.tree.unflatten(structure, batch)
        steps = trajectory(name, keys, actions, task, vmapped=True)
        return np.append(steps.observation.ravel(), steps.reward.ravel())

    base = outcome()
    for index in range(len(leaves)):
        assert np.any(outcome(index) != base), f"parameter {index} does nothing"


@named(set(envs.ENVIRONMENTS) - set(AT_LENGTH))
def test_tracing_leaks_nothing_and_leaves_the_environment_as_it_was(name):
    check_for_leaks(untraced(name), name)


@pytest.mark.robots
@pytest.mark.parametrize("name", ["half_cheetah_velocity", "hopper_params"])
def test_tracing_the_physics_leaks_nothing(name):
    """Of robots with drawn starts, and with a body as their task."""
    env = copy.copy(made(name)[0])
    env._env = copy.copy(env._env)
    check_for_leaks(env, name)


def check_for_leaks(env, name):
    key, actions, task = lane(name, 0)
    before = attributes(env)
    with jax.checking_leaks():
        _, state = jax.eval_shape(env.reset, key, task)
        jax.eval_shape(env.step, key, state, actions[0], task)
    after = attributes(env)
    assert before.keys() == after.keys()
    assert all(after[attribute] is value for attribute, value in before.items())


@every_environment
def test_task_draws_have_one_structure_and_differ(name):
    _, tasks = made(name)
    expected = jax.eval_shape(tasks.train, jax.random.key(0))
    for sample in filter(None, (tasks.train, tasks.test, tasks.ood)):
        assert jax.eval_shape(sample, jax.random.key(0)) == expected
        flat = draws(sample)
        assert np.isfinite(flat).all()
        assert (flat.std(axis=0) > 0).all()
    for fixed in tasks.fixed.values():
        shapes = jax.tree.map(lambda leaf: leaf.shape[1:], fixed())
        assert shapes == jax.tree.map(lambda leaf: leaf.shape, expected)


@named(name for name in envs.ENVIRONMENTS if name in SIMULATED or made(name)[1].ood)
def test_out_of_distribution_tasks_lie_outside_those_of_training(name):
    _, tasks = made(name)
    train, outside = draws(tasks.train), draws(tasks.ood)
    if name in ON_DISCS:
        train, outside = (
            np.linalg.norm(tasks, axis=1, keepdims=True) for tasks in (train, outside)
        )
    low, high = train.min(axis=0), train.max(axis=0)
    assert ((outside < low) | (outside > high)).any(axis=1).all()


@every_environment
def test_oracle_sees_the_task_beside_the_observation(name):
    env, tasks = made(name)
    oracle = TaskInObservation(env, tasks)
    before = attributes(oracle)
    task = tasks.train(jax.random.key(3))
    num_parameters = draws(tasks.train).shape[1]
    shape = jax.eval_shape(oracle.reset, jax.random.key(0), task)[0].shape
    assert shape == oracle.observation_space.shape
    assert shape[0] == env.observation_space.shape[0] + num_parameters
    assert (oracle.action_space, oracle.horizon) == (env.action_space, env.horizon)
    assert all(attributes(oracle)[name] is value for name, value in before.items())


@every_environment
def test_unknown_option_is_one_line_that_names_the_choices(name):
    with pytest.raises(ValueError) as error:
        envs.make(name, horizn=3)
    message = str(error.value)
    assert "\n" not in message
    assert "'horizon'" in message
    assert all(option in message for option in envs.option_defaults(name))


@every_environment
@pytest.mark.parametrize("horizon", [0, -1, 2.5, "10", True, None])
def test_horizon_out_of_range_is_refused(name, horizon):
    with pytest.raises(ValueError, match="horizon must be an integer >= 1"):
        envs.make(name, horizon=horizon)


def test_unknown_environment_is_one_line_that_names_the_choices():
    with pytest.raises(ValueError) as error:
        envs.make("pont")
    message = str(error.value)
    assert "\n" not in message
    assert "did you mean 'point'?" in message
    assert all(name in message for name in envs.ENVIRONMENTS)


def test_only_robots_import_brax():
    code = """
import sys, envs
for name in envs.ENVIRONMENTS:
    envs.option_defaults(name)
for name in ("point", "cartpole", "pendulum", "bernoulli_bandit"):
    envs.make(name)
assert not {"brax", "mujoco"} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "name", [name for name in sorted(envs.ENVIRONMENTS) if is_robot(name)]
)
def test_the_physics_of_every_robot_is_tested(name):
    """A robot is a module, and one of its families at least is simulated."""
    module_of = lambda name: envs.ENVIRONMENTS[name].partition(":")[0]
    assert module_of(name) in map(module_of, SIMULATED)


def test_half_cheetah_reward_is_the_published_one():
    """Finn et al. (2017): -|velocity - target| - 0.05 ||action||^2."""
    _, actions, targets = lanes("half_cheetah_velocity")
    steps = vmapped_trajectory("half_cheetah_velocity")
    error = jnp.abs(steps.info["x_velocity"] - targets[:, None])
    expected = -error - 0.05 * jnp.sum(actions**2, axis=-1)
    np.testing.assert_allclose(steps.reward, expected, rtol=1e-5)


def test_ant_reward_is_that_of_the_public_code():
    """Rakelly et al. (2019): minus the distance along both axes - 0.1 ||action||^2."""
    _, actions, goals = lanes("ant_goal")
    steps = vmapped_trajectory("ant_goal")
    position = jnp.stack([steps.info["x_position"], steps.info["y_position"]], axis=-1)
    np.testing.assert_allclose(position, steps.observation[..., :2], rtol=1e-5)
    distance = jnp.sum(jnp.abs(position - goals[:, None]), axis=-1)
    expected = -distance - 0.1 * jnp.sum(actions**2, axis=-1)
    np.testing.assert_allclose(steps.reward, expected, rtol=1e-5)


def lived_through(name, action, num_chunks, tasks=None):
    """Trajectories of `num_chunks` chunks of STEPS steps, and the fastest part in each.

    Args:
      name: of a robot.
      action: `actions of the lanes [num_lanes, STEPS, ...], chunk -> actions`.
      num_chunks: how many.
      tasks: of the lanes; those of `lanes` by default.
    """
    keys, actions, usual_tasks = lanes(name)
    tasks = usual_tasks if tasks is None else tasks
    reset, unroll = programs(name, True)
    _, state = reset(keys, tasks)
    chunks, speeds = [], []
    for chunk in range(num_chunks):
        state, steps = unroll(keys, state, action(actions, chunk), tasks)
        velocity = state.simulator.pipeline_state.xd.vel  # of every link
        speeds.append(float(jnp.linalg.norm(velocity, axis=-1).max()))
        chunks.append(steps)
    return jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), *chunks), speeds


@every_robot
def test_an_episode_of_zero_actions_is_stable(name):
    """Robots stand or fall, and no part is ever faster than a fall would make it."""
    steps, speeds = lived_through(name, lambda actions, _: 0 * actions, 20)
    assert not steps.info["diverged"].any()
    assert max(speeds) < 10.0  # m/s; from 1.4 m it is 5, and more at the end of a limb


@every_robot
def test_energy_does_not_explode_under_random_actions(name):
    """Robots stay below 30 m/s, and so do bodies beyond those of training."""
    _, tasks = made(name)
    roll = lambda actions, chunk: jnp.roll(actions, chunk, axis=1)
    samples = [tasks.train]
    if name.endswith("_params"):
        samples = [tasks.train, tasks.ood, tasks.ood]
    for batch, sample in enumerate(samples):
        keys = jax.random.split(jax.random.key(batch), num_lanes(name))
        steps, speeds = lived_through(name, roll, 20, jax.jit(jax.vmap(sample))(keys))
        assert not steps.info["diverged"].any()
        assert max(speeds) < 30.0
