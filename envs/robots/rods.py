"""What robots look like: the shapes of a brax `System`, placed by its poses."""

from typing import Any, NamedTuple

import numpy as np

_PLANE, _SPHERE, _CAPSULE = 0, 2, 3  # MuJoCo's mjtGeom
_WORLD = -1  # the link of shapes that do not move


class Rods(NamedTuple):
    """B rounded rods, each fixed to a link; a rod without length is a ball."""

    link: np.ndarray  # [B]; -1: fixed to the world
    ends: np.ndarray  # [B, 2, 3], in m, in the frame of the link
    radius: np.ndarray  # [B], in m


def rods_of(system: Any) -> Rods:
    """The capsules and spheres of a robot; the ground and walls are left out.

    Args:
      system: a `brax.base.System`.

    Raises:
      ValueError: if it has a shape of another kind.
    """
    model = system.mj_model
    kinds = np.asarray(model.geom_type)
    unknown = sorted(set(kinds.tolist()) - {_PLANE, _SPHERE, _CAPSULE})
    if unknown:
        raise ValueError(
            "only capsules, spheres and planes can be drawn, not MuJoCo's geom types "
            f"{', '.join(map(str, unknown))}"
        )
    solid = kinds != _PLANE
    half = np.where(kinds == _CAPSULE, model.geom_size[:, 1], 0.0)[solid]
    along = np.array([[0.0, 0.0, -1.0], [0.0, 0.0, 1.0]]) * half[:, None, None]
    turned = _rotated(model.geom_quat[solid][:, None], along)
    return Rods(
        link=model.geom_bodyid[solid] + _WORLD,  # MuJoCo's body 0 is the world
        ends=model.geom_pos[solid][:, None] + turned,
        radius=model.geom_size[solid, 0],
    )


def placed(rods: Rods, position: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Where the ends of the rods are, [T, B, 2, 3], in m, in the world.

    Args:
      rods: B of them, on L links.
      position: of each link, [T, L, 3], in m.
      rotation: likewise, quaternions [T, L, 4], the real part first.
    """
    # the world comes last, where its index -1 finds it
    position = _with_last(position, [0.0, 0.0, 0.0])[:, rods.link, None]
    rotation = _with_last(rotation, [1.0, 0.0, 0.0, 0.0])[:, rods.link, None]
    return position + _rotated(rotation, rods.ends)


def _with_last(links: np.ndarray, world: list[float]) -> np.ndarray:
    world = np.broadcast_to(world, (len(links), 1, len(world)))
    return np.concatenate([links, world], axis=1)


def _rotated(quaternion: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Turns v by (w, q), of length one: v + 2 q x (q x v + w v)."""
    real, imaginary = quaternion[..., :1], quaternion[..., 1:]
    inner = np.cross(imaginary, vector) + real * vector
    return vector + 2 * np.cross(imaginary, inner)
