"""One take in one frame of a film: the robot on its ground, drawn by Pillow."""

import functools
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from metarl_jax.film_style import (
    CENTRE,
    COLOURS,
    GRID,
    GROUND,
    LANDMARK,
    LIFT,
    LINE,
    NEAREST,
    POLE,
    SHADOW,
    TEXT,
    ZOOM,
)
from metarl_jax.films import (
    Camera,
    Film,
    camera_of,
    extent,
    focus_path,
    tick_spacing,
    ticks_per_label,
)

PANEL = (400, 270)  # of a take, in pixels
FINE = 2  # times finer is drawn than shown, for smooth edges


class Stage(NamedTuple):
    """What is the same in all frames."""

    film: Film
    camera: Camera
    spacing: float  # of the lines on the ground, in m
    ticks_per_label: int
    focus: list[np.ndarray]  # of each take, [F, 3]


def stage_of(film: Film) -> Stage:
    """The camera and the paths that it follows."""
    size = extent(film)
    return Stage(
        film,
        camera_of(film),
        tick_spacing(size),
        ticks_per_label(size),
        [focus_path(take, film.frame_seconds) for take in film.takes],
    )


class Panel:
    """One take in one frame, as the camera sees it."""

    def __init__(self, stage: Stage, number: int, frame: int):
        self._film, self._camera, self._spacing, self._ticks_per_label, _ = stage
        self._take = stage.film.takes[number]
        self._index = min(frame, len(self._take.reward) - 1)
        self._has_ended = frame > self._index
        self._focus = stage.focus[number][self._index]
        self._colour = COLOURS[number % len(COLOURS)]
        self._size = tuple(FINE * side for side in PANEL)
        self._zoom = ZOOM * self._size[1]
        self._image = Image.new("RGB", self._size, GROUND)
        self._pen = ImageDraw.Draw(self._image)

    def draw(self) -> Image.Image:
        """The panel, `FINE` times as large as it is shown."""
        self._draw_ground()
        ends = self._take.ends[self._index]
        self._draw_rods(ends * [1.0, 1.0, 0.0], flat=SHADOW)
        if self._film.landmark is not None:
            self._draw_landmark()
        self._draw_rods(ends)
        self._pen.rectangle((0, 0, self._size[0] - 1, self._size[1] - 1), outline=LINE)
        write(self._pen, (12, 8), self._take.label, 15, self._colour)
        self._write_state()
        return self._image

    def _pixels(self, points):
        """The place in the picture, [..., 2], and pixels per metre there, [...]."""
        seen = self._camera.project(points, self._focus)
        centre = np.array(CENTRE) * self._size
        place = centre + self._zoom * seen[..., :2] * [1.0, -1.0]
        return place, self._zoom / seen[..., 2]

    def _draw_ground(self):
        step = self._spacing
        middle = np.round(self._focus[:2] / step) * step
        offsets = np.arange(-GRID, GRID + 1) * step
        for along, across in ((0, 1), (1, 0)):
            for offset in offsets:
                line = np.zeros((len(offsets), 3))
                line[:, along] = middle[along] + offsets
                line[:, across] = middle[across] + offset
                self._draw_line(line)
        for x in middle[0] + offsets:
            if round(x / step) % self._ticks_per_label == 0:
                self._write_tick(x, middle[1] - step / 2)

    def _in_sight(self, points):
        """True for what is not behind the camera, nor so near that it fills it."""
        return (
            self._camera.project(points, self._focus)[..., 2] > NEAREST * self._spacing
        )

    def _draw_line(self, line):
        seen = self._in_sight(line)
        place, _ = self._pixels(line)
        for start in np.flatnonzero(seen[:-1] & seen[1:]):
            ends = [tuple(place[start]), tuple(place[start + 1])]
            self._pen.line(ends, fill=LINE, width=FINE)

    def _write_tick(self, x, y):
        point = np.array([x, y, 0.0])
        if not self._in_sight(point):
            return
        place, _ = self._pixels(point)
        if 0 < place[0] < self._size[0] and place[1] < self._size[1]:
            self._pen.ellipse(_box(place, 2 * FINE), fill=TEXT)
            label = f"{x + 0.0:.{max(0, -int(np.log10(self._spacing)))}f} m"
            write(self._pen, place / FINE + [4, 2], label, 11)

    def _draw_rods(self, ends, flat=None):
        seen = self._in_sight(ends).all(axis=1)
        place, scale = self._pixels(ends[seen])
        radius = self._film.radius[seen, None] * scale
        depth = 1.0 / scale.mean(axis=1)
        for rod in np.argsort(-depth):
            if flat is not None:
                self._draw_rod(place[rod], radius[rod], flat)
                continue
            self._draw_rod(place[rod], radius[rod] + FINE, _shade(self._colour, 0.6))
            self._draw_rod(place[rod], radius[rod], self._colour)
            light = place[rod] - [0.0, LIFT] * radius[rod][:, None]
            self._draw_rod(light, LIFT * radius[rod], _shade(self._colour, 1.25))

    def _draw_rod(self, place, radius, colour):
        along = place[1] - place[0]
        length = np.hypot(*along)
        if length > 0:
            across = np.array([-along[1], along[0]]) / length
            sides = radius[:, None] * across
            corners = [*(place + sides), *(place - sides)[::-1]]
            self._pen.polygon([tuple(corner) for corner in corners], fill=colour)
        for end, reach in zip(place, radius, strict=True):
            self._pen.ellipse(_box(end, reach), fill=colour)

    def _draw_landmark(self):
        path = self._film.landmark
        x, y = path[min(self._index, len(path) - 1)]
        pole = np.array([[x, y, 0.0], [x, y, POLE * self._camera.distance]])
        if self._in_sight(pole).all():
            place, _ = self._pixels(pole)
            line = [tuple(end) for end in place]
            self._pen.line(line, fill=LANDMARK, width=2 * FINE)
            self._pen.ellipse(_box(place[1], 5 * FINE), fill=LANDMARK)

    def _write_state(self):
        reward = self._take.reward
        text = f"return so far {reward[: self._index + 1].sum():.1f}"
        place = (PANEL[0] - 12, 8)
        write(self._pen, place, text, 13, anchor="ra")
        if self._has_ended:
            seconds = len(reward) * self._film.frame_seconds
            ended = f"ended after {seconds:.2f} s"
            write(self._pen, (PANEL[0] - 12, 26), ended, 13, anchor="ra")


def write(pen, place, text, size, colour=TEXT, anchor="la"):
    """Writes text at a place in pixels as shown, with a pen of a finer picture."""
    font = _font(FINE * size)
    place = tuple(FINE * coordinate for coordinate in place)
    pen.text(place, text, fill=colour, font=font, anchor=anchor)


@functools.cache
def _font(size):
    return ImageFont.load_default(size)


def _box(centre, radius):
    return tuple(np.concatenate([centre - radius, centre + radius]))


def _shade(colour: str, factor: float) -> tuple[int, ...]:
    """Darker or lighter."""
    parts = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return tuple(min(255, round(factor * part)) for part in parts)
