"""Films as pictures, drawn by Pillow: the same on every machine, with no display."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor, ImageDraw

from metarl_jax.film_panel import FINE, PANEL, Panel, Stage, stage_of, write
from metarl_jax.film_style import COLOURS, LINE, PAINTS, SKY
from metarl_jax.films import Film, Take

_HEADER, _STRIP = 34, 74  # heights of the title and the reward, in pixels
_SECONDS = 0.05  # the least time between the frames of a GIF
_PALETTE_SIZE = 128  # colours of a GIF
_PALETTE_FRAMES = 6  # of a film, from which they are


def frames(film: Film, stride: int = 1) -> Iterator[Image.Image]:
    """Draws every `stride`-th frame, each take in a panel of its own."""
    stage = stage_of(film)
    for index in range(0, film.num_frames, stride):
        yield _frame(stage, index)


def save_gif(path: str | Path, film: Film) -> None:
    """Writes a GIF that runs in real time, as nearly as its clock allows."""
    stride = gif_stride(film.frame_seconds)
    # a GIF counts time in hundredths of a second
    duration = 10 * round(100 * film.frame_seconds * stride)
    pictures = list(frames(film, stride))
    palette = _palette(pictures)
    first, *rest = [
        picture.quantize(palette=palette, dither=Image.Dither.NONE)
        for picture in pictures
    ]
    first.save(path, save_all=True, append_images=rest, duration=duration, loop=0)


def gif_stride(frame_seconds: float) -> int:
    """How many frames of a film go by for one of its GIF."""
    return max(1, round(_SECONDS / frame_seconds))


def _palette(pictures: list[Image.Image]) -> Image.Image:
    """An image whose palette serves all pictures: all paints, and the shades between.

    Few pixels have the colour of the mark or of the shadow, and none in some frames.
    """
    count = min(_PALETTE_FRAMES, len(pictures))
    chosen = np.linspace(0, len(pictures) - 1, count).astype(int)
    some = Image.fromarray(np.concatenate([np.asarray(pictures[k]) for k in chosen]))
    shades = some.quantize(_PALETTE_SIZE - len(PAINTS)).getpalette()
    paints = [part for paint in PAINTS for part in ImageColor.getrgb(paint)]
    palette = Image.new("P", (1, 1))
    palette.putpalette(paints + shades[: 3 * _PALETTE_SIZE - len(paints)])
    return palette


def _frame(stage: Stage, index: int) -> Image.Image:
    width, height = PANEL
    film = stage.film
    size = (width * len(film.takes), _HEADER + height + _STRIP)
    image = Image.new("RGB", tuple(FINE * side for side in size), SKY)
    for number, take in enumerate(film.takes):
        shown = min(index, len(take.reward) - 1)
        panel = Panel(stage, number, index)
        image.paste(panel.draw(), (FINE * width * number, FINE * _HEADER))
        strip = _draw_strip(film, take, COLOURS[number % len(COLOURS)], shown)
        place = (FINE * width * number, FINE * (_HEADER + height))
        image.paste(strip, place)
    draw = ImageDraw.Draw(image)
    write(draw, (12, 9), film.title, 15)
    seconds = f"{(index + 1) * film.frame_seconds:.2f} s"
    write(draw, (size[0] - 12, 9), seconds, 15, anchor="ra")
    return image.reduce(FINE)


def _draw_strip(film: Film, take: Take, colour: str, index: int) -> Image.Image:
    """The reward of each step up to now, on the same scale for all takes."""
    width, height = FINE * PANEL[0], FINE * _STRIP
    image = Image.new("RGB", (width, height), SKY)
    pen = ImageDraw.Draw(image)
    every = np.concatenate([other.reward for other in film.takes])
    low, high = min(every.min(), 0.0), max(every.max(), 0.0)
    left, right, top, bottom = 52, PANEL[0] - 12, 12, _STRIP - 12
    across = lambda step: left + (right - left) * step / max(1, film.num_frames - 1)
    upward = lambda reward: bottom - (bottom - top) * (reward - low) / (high - low or 1)
    fine = lambda x, y: (FINE * x, FINE * y)
    pen.line([fine(left, upward(0)), fine(right, upward(0))], fill=LINE, width=FINE)
    for level in {low, high}:
        write(pen, (left - 6, upward(level)), f"{level:.1f}", 11, anchor="rm")
    write(pen, (left + 4, 0), "reward of each step", 11)
    shown = enumerate(take.reward[: index + 1])
    points = [fine(across(step), upward(reward)) for step, reward in shown]
    if len(points) > 1:
        pen.line(points, fill=colour, width=2 * FINE, joint="curve")
    return image
