"""What is seen of robots that move: takes side by side, and the camera that sees them.

A robot is B rounded rods. Both the GIF (`film_frames.py`) and the page (`film_page.py`)
draw a film as this camera sees it.
"""

from typing import NamedTuple

import numpy as np

_DISTANCE = 2.6  # between camera and robot, in sizes of the robot
_SMOOTHING_SECONDS = 0.5  # of the path along which the camera follows


class Take(NamedTuple):
    """One episode of one robot: F frames, one after each step."""

    label: str
    ends: np.ndarray  # [F, B, 2, 3], in m; of the rods
    reward: np.ndarray  # [F]


class Film(NamedTuple):
    """Episodes in the same task, to be seen side by side; they may differ in length."""

    title: str
    frame_seconds: float
    radius: np.ndarray  # [B], in m; of the rods
    takes: tuple[Take, ...]
    landmark: np.ndarray | None = None  # [F, 2], in m; where a good robot would be

    @property
    def num_frames(self) -> int:
        return max(len(take.reward) for take in self.takes)


class Camera(NamedTuple):
    """Looks at a point from a distance, in perspective; the z axis is up."""

    distance: float  # in m
    azimuth: float = -1.45  # rad; at -pi/2 the x axis goes to the right
    elevation: float = 0.3  # rad above the horizon

    def project(self, points: np.ndarray, focus: np.ndarray) -> np.ndarray:
        """Places points in the picture.

        Args:
          points: [..., 3], in m.
          focus: the point that is looked at, [3], in m.

        Returns:
          [..., 3]: how far to the right and up of the focus, as a part of the distance
          between camera and picture, and the depth in m, positive in sight.
        """
        sin_a, cos_a = np.sin(self.azimuth), np.cos(self.azimuth)
        sin_e, cos_e = np.sin(self.elevation), np.cos(self.elevation)
        right = np.array([-sin_a, cos_a, 0.0])
        up = np.array([-sin_e * cos_a, -sin_e * sin_a, cos_e])
        back = np.array([cos_e * cos_a, cos_e * sin_a, sin_e])
        offset = np.asarray(points) - focus
        depth = self.distance - offset @ back
        return np.stack([offset @ right / depth, offset @ up / depth, depth], axis=-1)


def extent(film: Film) -> float:
    """The size of the robot in the first frame, in m."""
    ends = film.takes[0].ends[0].reshape(-1, 3)
    return float(np.max(np.ptp(ends, axis=0)) + 2 * np.max(film.radius))


def camera_of(film: Film) -> Camera:
    """The camera, as far away as the robot is large."""
    return Camera(distance=_DISTANCE * extent(film))


def focus_path(take: Take, frame_seconds: float) -> np.ndarray:
    """The points that the camera follows, [F, 3]: smooth, and at one height."""
    centre = take.ends.mean(axis=(1, 2))
    reach = max(1, round(_SMOOTHING_SECONDS / frame_seconds / 2))
    padded = np.pad(centre, ((reach, reach), (0, 0)), mode="edge")
    window = np.ones(2 * reach + 1) / (2 * reach + 1)
    smooth = np.stack([np.convolve(x, window, "valid") for x in padded.T], axis=-1)
    smooth[:, 2] = centre[0, 2]
    return smooth


def tick_spacing(size: float) -> float:
    """Between the lines on the ground, in m: the power of ten below the robot's size.

    Or a fifth above it, so that lines are 1 m apart for robots that are nearly as long.
    """
    return 10.0 ** np.floor(np.log10(1.2 * size))


def ticks_per_label(size: float) -> int:
    """How many lines on the ground share a label, so that there is room for it."""
    return max(1, round(size / tick_spacing(size) / 2))
