"""Bodies as tasks: every parameter acts, and in the way that it should."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from task_draws import assert_uniform, drawn

import envs
from envs.adapters import BACKENDS, COMPILE_FAST, load_brax
from envs.robots.bodies import Body, usual_body, with_body

KEY = jax.random.key(0)
EXPONENTS = jnp.array([-3.0, 0.0, 3.0])


@functools.cache
def made(name):
    return envs.make(name)


def with_exponents(name, **exponents):
    """Bodies [3] that differ in the parameters named, all parts alike."""
    env, _ = made(name)
    usual = usual_body(env.system(None))
    batch = jax.tree.map(lambda leaf: jnp.zeros((3, *leaf.shape)), usual)
    return batch._replace(
        **{
            field: getattr(batch, field) + values[:, None]
            for field, values in exponents.items()
        }
    )


@functools.cache
def program(name, num_steps):
    """States of bodies [3, num_steps] under a constant action, from the usual start."""
    env, _ = made(name)

    def states(body, action, velocity):
        _, state = env.reset(KEY, body)
        brax_env = env._vary(env._env, body)
        pipeline = state.simulator.pipeline_state
        moving = brax_env.pipeline_init(pipeline.q, pipeline.qd.at[0].set(velocity))
        simulator = state.simulator.replace(pipeline_state=moving)
        state = state._replace(simulator=simulator)

        def step(state, _):
            state = env.step(KEY, state, action, body)[1]
            return state, state.simulator.pipeline_state

        return jax.lax.scan(step, state, length=num_steps)[1]

    across = jax.vmap(states, in_axes=(0, None, None))
    return jax.jit(across, compiler_options=COMPILE_FAST)


def pushed_cart(**exponents):
    """The velocity of carts, [3], after a push of 30 N for 0.04 s."""
    name = "inverted_pendulum_params"
    action = jnp.array([0.1])
    return program(name, 1)(with_exponents(name, **exponents), action, 0.0).qd[:, -1, 0]


def hop(action, velocity=0.0, **exponents):
    """Hoppers, [3, 20], in 0.16 s of a constant action; the foot lands on the way."""
    name = "hopper_params"
    bodies = with_exponents(name, **exponents)
    return program(name, 20)(bodies, jnp.array(action), velocity)


def assert_falls(values):
    assert (np.diff(values) < 0).all(), values


def test_heavier_carts_and_poles_gain_less_speed_from_the_same_push():
    assert_falls(pushed_cart(mass=EXPONENTS))


def test_a_cart_gains_the_speed_of_newtons_second_law():
    """A cart of great weight: F t / m."""
    name = "inverted_pendulum_params"
    heavy = jnp.array([5.0, 6.0, 7.0])
    bodies = with_exponents(name)
    bodies = bodies._replace(mass=bodies.mass.at[:, 0].set(heavy))
    mass = made(name)[0].system(None).link.inertia.mass[0] * 1.5**heavy
    pushed = program(name, 1)(bodies, jnp.array([0.1]), 0.0)
    np.testing.assert_allclose(pushed.qd[:, -1, 0], 30.0 * 0.04 / mass, rtol=0.05)


def test_damping_slows_a_cart_down():
    assert_falls(pushed_cart(damping=3 * EXPONENTS))


def test_poles_of_greater_inertia_are_turned_less():
    name = "inverted_pendulum_params"
    bodies = with_exponents(name, inertia=EXPONENTS)
    turned = program(name, 1)(bodies, jnp.array([0.1]), 0.0).qd[:, -1, 1]
    assert_falls(np.abs(turned))


@pytest.mark.robots
def test_heavier_feet_of_hoppers_turn_slower_by_the_same_torque():
    assert_falls(np.abs(hop([0.0, 0.0, 1.0], mass=EXPONENTS).qd[:, 2, 5]))


@pytest.mark.robots
def test_hoppers_of_greater_inertia_turn_slower_by_the_same_torque():
    assert_falls(np.abs(hop([0.0, 0.0, 1.0], inertia=EXPONENTS).qd[:, 2, 5]))


@pytest.mark.robots
def test_damped_joints_of_hoppers_turn_slower_by_the_same_torque():
    assert_falls(np.abs(hop([0.0, 0.0, 1.0], damping=EXPONENTS).qd[:, 2, 5]))


@pytest.mark.robots
def test_hoppers_slide_less_far_where_friction_is_greater():
    assert_falls(hop([0.0] * 3, velocity=2.0, friction=EXPONENTS).x.pos[:, -1, 3, 0])


def what_physics_read(system, backend):
    """Of the hopper, as brax's code reads it: mass [4], inertia [4, 3], damping, [3].

    And all of the friction, [5, 3]. `spring` and `positional` raise masses and moments
    to powers (`brax/spring/pipeline.py`, `brax/com.py`).
    """
    inertia, friction = system.link.inertia, system.geom_friction
    diagonal = jax.vmap(jnp.diagonal)(inertia.i)
    if backend == "mjx":
        mass, moments = system.body_mass[1:], system.body_inertia[1:]
        return Body(mass, moments, system.dof_damping[3:], friction)
    if backend == "generalized":
        return Body(inertia.mass, diagonal, system.dof.damping[3:], friction)
    return Body(
        inertia.mass ** (1 - system.spring_mass_scale),
        diagonal ** (1 - system.spring_inertia_scale),
        system.link.constraint_ang_damping[1:],
        friction,
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_physics_reads_the_parameters_of_the_body(backend):
    hopper = load_brax("hopper", "Hopper", backend=backend)
    body = Body(
        mass=jnp.array([-3.0, 0.0, 1.0, 2.0]),
        inertia=jnp.array([2.0, 1.0, 0.0, -1.0]),
        damping=jnp.array([0.0, -2.0, 3.0]),
        friction=jnp.array([1.0, -1.0]),  # of the floor and the foot
    )
    usual, other = (
        what_physics_read(system, backend)
        for system in (hopper.sys, with_body(hopper, body).sys)
    )
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5)
    close(other.mass, usual.mass * 1.5**body.mass)
    close(other.inertia, usual.inertia * 1.5 ** body.inertia[:, None])
    close(other.damping, usual.damping * 1.3**body.damping)
    assert (usual.damping > 0).all()
    times = np.ones((5, 3))
    times[[0, 4], 0] = 1.5, 1 / 1.5
    close(other.friction, usual.friction * times)


@pytest.mark.parametrize("limit", [3.0, 1.0])
@pytest.mark.parametrize("name", ["hopper_params", "walker_params"])
def test_bodies_are_drawn_as_published_and_all_beyond_outside(name, limit):
    _, tasks = envs.make(name, log_scale_limit=limit)
    for sample in (tasks.train, tasks.test):
        for exponents in drawn(sample):
            assert_uniform(exponents, -limit, limit)
    for exponents in drawn(tasks.ood):
        assert_uniform(np.abs(exponents), limit, limit + 1.0)
        np.testing.assert_allclose(np.mean(exponents > 0), 0.5, atol=0.03)


def test_bodies_have_a_number_for_each_part_that_can_act():
    """Planar robots: every link turns; damped are the motors' joints; feet touch."""
    shapes = lambda name: jax.tree.map(
        lambda leaf: leaf.shape, usual_body(made(name)[0].system(None))
    )
    assert shapes("hopper_params") == ((4,), (4,), (3,), (2,))
    assert shapes("walker_params") == ((7,), (7,), (6,), (4,))  # and the torso
    assert shapes("inverted_pendulum_params") == ((2,), (1,), (2,), None)


@pytest.mark.parametrize("backend", ["spring", "positional"])
def test_a_pole_is_refused_where_its_damping_would_do_nothing(backend):
    with pytest.raises(ValueError, match="backend must be one of generalized, mjx"):
        envs.make("inverted_pendulum_params", backend=backend)


def test_a_limit_out_of_range_is_refused():
    with pytest.raises(ValueError, match="log_scale_limit must be a number >= 0"):
        envs.make("hopper_params", log_scale_limit=-1)
