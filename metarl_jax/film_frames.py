"""Films as pictures, drawn by Pillow: the same on every machine, with no display."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from metarl_jax.films import Camera, Film, Take, extent, focus_path, tick_spacing

COLOURS = ("#7b8794", "#e8833a", "#3a7de8", "#4aa564")  # of the takes
_SKY, _GROUND, _LINE, _SHADOW = "#ffffff", "#f4f5f7", "#c9ced6", "#dfe2e7"
_TEXT, _LANDMARK = "#20262e", "#c2185b"
_PANEL = (400, 270)  # of a take, in pixels
_HEADER, _STRIP = 34, 74  # heights of the title and the reward, in pixels
_FINE = 2  # times finer is drawn than shown, for smooth edges
_ZOOM = 1.1  # distance between camera and picture, in heights of the panel
_DISTANCE = 2.6  # between camera and robot, in sizes of the robot
_SECONDS = 0.05  # the least time between the frames of a GIF
_GRID = 6  # lines of the ground to each side


def frames(film: Film, stride: int = 1) -> Iterator[Image.Image]:
    """Draws every `stride`-th frame, each take in a panel of its own."""
    stage = _stage(film)
    for index in range(0, film.num_frames, stride):
        yield _frame(stage, index)


def save_gif(path: str | Path, film: Film) -> None:
    """Writes a GIF that runs in real time, as nearly as its clock allows."""
    stride = gif_stride(film.frame_seconds)
    # a GIF counts time in hundredths of a second
    duration = 10 * round(100 * film.frame_seconds * stride)
    pictures = list(frames(film, stride))
    palette = pictures[-1].quantize(128, dither=Image.Dither.NONE)
    first, *rest = [
        picture.quantize(palette=palette, dither=Image.Dither.NONE)
        for picture in pictures
    ]
    first.save(path, save_all=True, append_images=rest, duration=duration, loop=0)


def gif_stride(frame_seconds: float) -> int:
    """How many frames of a film go by for one of its GIF."""
    return max(1, round(_SECONDS / frame_seconds))


class _Stage(NamedTuple):
    """What is the same in all frames."""

    film: Film
    camera: Camera
    spacing: float  # of the lines on the ground, in m
    focus: list[np.ndarray]  # of each take, [F, 3]


def _stage(film: Film) -> _Stage:
    size = extent(film)
    return _Stage(
        film,
        Camera(distance=_DISTANCE * size),
        tick_spacing(size),
        [focus_path(take, film.frame_seconds) for take in film.takes],
    )


def _frame(stage: _Stage, index: int) -> Image.Image:
    width, height = _PANEL
    film = stage.film
    size = (width * len(film.takes), _HEADER + height + _STRIP)
    image = Image.new("RGB", tuple(_FINE * side for side in size), _SKY)
    for number, take in enumerate(film.takes):
        shown = min(index, len(take.reward) - 1)
        panel = _Panel(stage, number, index)
        image.paste(panel.draw(), (_FINE * width * number, _FINE * _HEADER))
        strip = _draw_strip(film, take, COLOURS[number % len(COLOURS)], shown)
        place = (_FINE * width * number, _FINE * (_HEADER + height))
        image.paste(strip, place)
    draw = ImageDraw.Draw(image)
    _write(draw, (12, 9), film.title, 15)
    seconds = f"{(index + 1) * film.frame_seconds:.2f} s"
    _write(draw, (size[0] - 12, 9), seconds, 15, anchor="ra")
    return image.resize(size, Image.Resampling.BOX)


class _Panel:
    """One take in one frame, as the camera sees it."""

    def __init__(self, stage: _Stage, number: int, frame: int):
        self._film, self._camera, self._spacing, _ = stage
        self._take = stage.film.takes[number]
        self._index = min(frame, len(self._take.reward) - 1)
        self._has_ended = frame > self._index
        self._focus = stage.focus[number][self._index]
        self._colour = COLOURS[number % len(COLOURS)]
        self._size = tuple(_FINE * side for side in _PANEL)
        self._zoom = _ZOOM * self._size[1]
        self._image = Image.new("RGB", self._size, _GROUND)
        self._pen = ImageDraw.Draw(self._image)

    def draw(self) -> Image.Image:
        self._draw_ground()
        ends = self._take.ends[self._index]
        self._draw_rods(ends * [1.0, 1.0, 0.0], flat=_SHADOW)
        if self._film.landmark is not None:
            self._draw_landmark()
        self._draw_rods(ends)
        self._pen.rectangle((0, 0, self._size[0] - 1, self._size[1] - 1), outline=_LINE)
        _write(self._pen, (12, 8), self._take.label, 15, self._colour)
        self._write_state()
        return self._image

    def _pixels(self, points):
        """The place in the picture, [..., 2], and pixels per metre there, [...]."""
        seen = self._camera.project(points, self._focus)
        centre = np.array([0.5, 0.58]) * self._size
        place = centre + self._zoom * seen[..., :2] * [1.0, -1.0]
        return place, self._zoom / seen[..., 2]

    def _draw_ground(self):
        step = self._spacing
        middle = np.round(self._focus[:2] / step) * step
        offsets = np.arange(-_GRID, _GRID + 1) * step
        for along, across in ((0, 1), (1, 0)):
            for offset in offsets:
                line = np.zeros((len(offsets), 3))
                line[:, along] = middle[along] + offsets
                line[:, across] = middle[across] + offset
                self._draw_line(line)
        for x in middle[0] + offsets:
            self._write_tick(x, middle[1] - step)

    def _draw_line(self, line):
        seen = self._camera.project(line, self._focus)[..., 2] > 0.2 * self._spacing
        place, _ = self._pixels(line)
        for start in np.flatnonzero(seen[:-1] & seen[1:]):
            ends = [tuple(place[start]), tuple(place[start + 1])]
            self._pen.line(ends, fill=_LINE, width=_FINE)

    def _write_tick(self, x, y):
        place, scale = self._pixels(np.array([x, y, 0.0]))
        if scale > 0 and 0 < place[0] < self._size[0] and place[1] < self._size[1]:
            self._pen.ellipse(_box(place, 2 * _FINE), fill=_TEXT)
            label = f"{x:.{max(0, -int(np.log10(self._spacing)))}f} m"
            _write(self._pen, place / _FINE + [4, 2], label, 11)

    def _draw_rods(self, ends, flat=None):
        place, scale = self._pixels(ends)
        radius = self._film.radius[:, None] * scale
        depth = 1.0 / scale.mean(axis=1)
        for rod in np.argsort(-depth):
            if flat is not None:
                self._draw_rod(place[rod], radius[rod], flat)
                continue
            self._draw_rod(place[rod], radius[rod] + _FINE, _shade(self._colour, 0.6))
            self._draw_rod(place[rod], radius[rod], self._colour)
            light = place[rod] - [0.0, 0.35] * radius[rod][:, None]
            self._draw_rod(light, 0.35 * radius[rod], _shade(self._colour, 1.25))

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
        height = 0.5 * self._spacing
        place, scale = self._pixels(np.array([[x, y, 0.0], [x, y, height]]))
        if scale.min() > 0:
            pole = [tuple(end) for end in place]
            self._pen.line(pole, fill=_LANDMARK, width=2 * _FINE)
            self._pen.ellipse(_box(place[1], 5 * _FINE), fill=_LANDMARK)

    def _write_state(self):
        reward = self._take.reward
        text = f"return so far {reward[: self._index + 1].sum():.1f}"
        place = (_PANEL[0] - 12, 8)
        _write(self._pen, place, text, 13, anchor="ra")
        if self._has_ended:
            seconds = len(reward) * self._film.frame_seconds
            ended = f"ended after {seconds:.2f} s"
            _write(self._pen, (_PANEL[0] - 12, 26), ended, 13, anchor="ra")


def _draw_strip(film: Film, take: Take, colour: str, index: int) -> Image.Image:
    """The reward of each step up to now, on the same scale for all takes."""
    width, height = _FINE * _PANEL[0], _FINE * _STRIP
    image = Image.new("RGB", (width, height), _SKY)
    pen = ImageDraw.Draw(image)
    every = np.concatenate([other.reward for other in film.takes])
    low, high = min(every.min(), 0.0), max(every.max(), 0.0)
    left, right, top, bottom = 52, _PANEL[0] - 12, 12, _STRIP - 12
    across = lambda step: left + (right - left) * step / max(1, film.num_frames - 1)
    upward = lambda reward: bottom - (bottom - top) * (reward - low) / (high - low or 1)
    fine = lambda x, y: (_FINE * x, _FINE * y)
    pen.line([fine(left, upward(0)), fine(right, upward(0))], fill=_LINE, width=_FINE)
    for level in {low, high}:
        _write(pen, (left - 6, upward(level)), f"{level:.1f}", 11, anchor="rm")
    _write(pen, (left + 4, 0), "reward of each step", 11)
    shown = enumerate(take.reward[: index + 1])
    points = [fine(across(step), upward(reward)) for step, reward in shown]
    if len(points) > 1:
        pen.line(points, fill=colour, width=2 * _FINE, joint="curve")
    return image


def _write(pen, place, text, size, colour=_TEXT, anchor="la"):
    font = ImageFont.load_default(_FINE * size)
    place = tuple(_FINE * coordinate for coordinate in place)
    pen.text(place, text, fill=colour, font=font, anchor=anchor)


def _box(centre, radius):
    return tuple(np.concatenate([centre - radius, centre + radius]))


def _shade(colour: str, factor: float) -> tuple[int, ...]:
    """Darker or lighter."""
    parts = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return tuple(min(255, round(factor * part)) for part in parts)
