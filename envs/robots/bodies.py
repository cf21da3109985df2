"""Robots whose body is the task: other masses, inertia, damping and friction."""

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from envs.adapters import BACKENDS
from envs.options import checked_number
from envs.robots.robot import Robot, make_robot
from envs.tasks import TaskDistribution, uniform, with_random_signs

BODY_LIMIT = 3.0  # of exponents in training, as published
_BEYOND = 1.0  # how much further those out of distribution go


class Body(NamedTuple):
    """By which power of a base each parameter of a robot is multiplied: 0 is brax's.

    The base is 1.5, and 1.3 for damping.
    """

    mass: Any  # [links]
    inertia: Any  # [links that can turn]; about every axis through the centre of mass
    damping: Any  # [damped joints]
    friction: (
        Any  # [geometries that can touch]; sliding friction. None if there is none
    )


class _Parts(NamedTuple):
    """What of a robot is varied: indices into the arrays of its system."""

    turning: np.ndarray  # links
    damped: np.ndarray  # degrees of freedom
    touching: np.ndarray  # geometries


def make_bodies(
    robot: Robot,
    reward: Callable[[Any, jax.Array, dict[str, jax.Array]], jax.Array],
    standing_still: float,
    log_scale_limit: float,
    horizon: int,
    backend: str,
    physics_step: float | None,
    backends: Sequence[str] = BACKENDS,
) -> tuple[Any, TaskDistribution]:
    """A robot and the distribution of its bodies, as in the literature's "rand-params".

    Each multiplier is 1.5^u, 1.3^u for damping, with u uniform in
    [-log_scale_limit, log_scale_limit] and independent of all others, for training and
    test. Out of distribution every |u| is up to 1 beyond the limit, with either sign.

    Four things differ from the public code. The walker's step has 0.008 s, not 0.01.
    Inertia has one multiplier a link instead of one for each axis: a planar robot turns
    about one axis. Of a geometry's friction only the sliding one is varied; the physics
    here have no other. And what cannot act (a geometry that touches nothing, the
    inertia of a cart on a rail) is left out of the task.

    The backends differ in what a parameter is. In `generalized` and `mjx` they are
    MuJoCo's, and as in that code the constraint solver's scales, which MuJoCo derives
    from the masses of its model file, stay those of the unchanged robot. In `spring`
    and `positional` the masses and moments of inertia are the ones that brax replaces
    MuJoCo's by (1 kg and 1 kg m^2 for each link of the hopper), and damping is that of
    the joints' springs.

    Args:
      robot: which one.
      reward: as in `make_robot`.
      standing_still: the reward of a step without moving.
      log_scale_limit: of u.
      horizon: as in `make_robot`, as are `backend` and `physics_step`.
      backend: of the simulation.
      physics_step: in seconds, or None.
      backends: that the family can do with.

    References:
      Rothfuss et al., ProMP: Proximal Meta-Policy Search (2019),
      https://arxiv.org/abs/1810.06784, and the public code that it uses,
      https://github.com/dennisl88/rand_param_envs, `base.py`,
      `hopper_rand_params.py` and `walker_rand_params.py`.
    """
    limit = checked_number("log_scale_limit", log_scale_limit, minimum=0.0)
    env = make_robot(
        robot,
        reward,
        lambda body: standing_still,
        horizon,
        backend,
        physics_step,
        backends=backends,
        vary=with_body,
    )
    usual = usual_body(env.system(None))
    bounds = lambda bound: jax.tree.map(lambda leaf: leaf + bound, usual)
    inside = uniform(bounds(-limit), bounds(limit))
    outside = with_random_signs(uniform(bounds(limit), bounds(limit + _BEYOND)))
    return env, TaskDistribution(train=inside, test=inside, ood=outside)


def usual_body(system: Any) -> Body:
    """The body as it is in `system`: all exponents are zero."""
    parts = _parts(system)
    return Body(
        mass=np.zeros(len(system.link_types), np.float32),
        inertia=np.zeros(len(parts.turning), np.float32),
        damping=np.zeros(len(parts.damped), np.float32),
        friction=np.zeros(len(parts.touching), np.float32)
        if len(parts.touching)
        else None,
    )


def with_body(brax_env: Any, body: Body | None) -> Any:
    """A copy of the environment that has `body`; with None, its own."""
    changed = copy.copy(brax_env)
    if body is not None:
        vary = _SYSTEMS[brax_env.backend]
        changed.sys = vary(brax_env.sys, _multipliers(brax_env.sys, body))
    return changed


def _multipliers(system: Any, body: Body) -> Body:
    """Of every link, degree of freedom and geometry, those left out too."""
    parts = _parts(system)
    spread = lambda size, at, base, power: (
        jnp.ones(size).at[at].set(base ** jnp.asarray(power))
    )
    friction = np.zeros(0) if body.friction is None else body.friction
    links = len(system.link_types)
    return Body(
        mass=1.5 ** jnp.asarray(body.mass),
        inertia=spread(links, parts.turning, 1.5, body.inertia),
        damping=spread(system.nv, parts.damped, 1.3, body.damping),
        friction=spread(system.ngeom, parts.touching, 1.5, friction),
    )


def _parts(system: Any) -> _Parts:
    model = system.mj_model
    slides = np.asarray(model.jnt_type) == 2
    turns = np.zeros(model.nbody, bool)
    for body in range(1, model.nbody):
        joints = np.asarray(model.jnt_bodyid) == body
        turns[body] = turns[model.body_parentid[body]] or np.any(joints & ~slides)
    return _Parts(
        turning=np.flatnonzero(turns[1:]),
        damped=np.flatnonzero(np.asarray(model.dof_damping) > 0),
        touching=_touching(model),
    )


def _touching(model: Any) -> np.ndarray:
    """Geometries that some other one collides with, by MuJoCo's rule."""
    types, affinities = (
        np.asarray(model.geom_contype),
        np.asarray(model.geom_conaffinity),
    )
    matches = (types[:, None] & affinities[None, :]) != 0
    other_body = model.geom_bodyid[:, None] != model.geom_bodyid[None, :]
    return np.flatnonzero(np.any((matches | matches.T) & other_body, axis=1))


def _of_generalized(system: Any, times: Body) -> Any:
    inertia = system.link.inertia
    return system.tree_replace(
        {
            "link.inertia.mass": inertia.mass * times.mass,
            "link.inertia.i": inertia.i * times.inertia[:, None, None],
            "dof.damping": system.dof.damping * times.damping,
            "geom_friction": _friction(system, times),
        }
    )


def _of_springs(system: Any, times: Body) -> Any:
    """Masses and inertia as brax's `spring` and `positional` raise them to powers."""
    inertia = system.link.inertia
    mass = inertia.mass ** (1 - system.spring_mass_scale)
    diagonal = jax.vmap(jnp.diagonal)(inertia.i) ** (1 - system.spring_inertia_scale)
    damping = jax.ops.segment_prod(
        times.damping, system.dof_link(), len(system.link_types)
    )
    return system.tree_replace(
        {
            "spring_mass_scale": jnp.zeros(()),
            "spring_inertia_scale": jnp.zeros(()),
            "link.inertia.mass": mass * times.mass,
            "link.inertia.i": jax.vmap(jnp.diag)(diagonal * times.inertia[:, None]),
            "link.constraint_ang_damping": system.link.constraint_ang_damping * damping,
            "geom_friction": _friction(system, times),
        }
    )


def _of_mjx(system: Any, times: Body) -> Any:
    world_and = lambda links: jnp.concatenate([jnp.ones(1), links])
    return system.tree_replace(
        {
            "body_mass": system.body_mass * world_and(times.mass),
            "body_inertia": system.body_inertia * world_and(times.inertia)[:, None],
            "dof_damping": system.dof_damping * times.damping,
            "geom_friction": _friction(system, times),
        }
    )


def _friction(system, times):
    return system.geom_friction.at[:, 0].multiply(times.friction)


_SYSTEMS = {
    "spring": _of_springs,
    "positional": _of_springs,
    "generalized": _of_generalized,
    "mjx": _of_mjx,
}
