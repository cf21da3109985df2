"""Films as a page for a browser: one file that loads nothing.

Brax's own viewer (`brax.io.html`) fetches three.js and other scripts from the network
and shows one robot; offline it stays blank. This page draws on a plain canvas instead.
"""

import html
import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from metarl_jax import film_style
from metarl_jax.films import (
    Film,
    camera_of,
    extent,
    focus_path,
    tick_spacing,
    ticks_per_label,
)

_DIGITS = 4  # of lengths in m


def save_html(path: str | Path, film: Film) -> None:
    """Writes the page of a film."""
    Path(path).write_text(page(film), encoding="utf-8")


def page(film: Film) -> str:
    """The text of an HTML file that shows the film: to play, step through and turn."""
    template = resources.files("metarl_jax").joinpath("film_page.html")
    # a title must not close the script that holds it
    data = json.dumps(_document(film), allow_nan=False).replace("<", "\\u003c")
    return template.read_text(encoding="utf-8").replace("__FILM__", data)


def frame_in_notebook(film: Film, height: int = 480) -> str:
    """The page as an element of another page, such as that of a notebook.

    Args:
      film: what is shown.
      height: in pixels.
    """
    source = html.escape(page(film), quote=True)
    style = f"width:100%;height:{height}px;border:0"
    return f'<div><iframe srcdoc="{source}" style="{style}"></iframe></div>'


def _document(film: Film) -> dict[str, Any]:
    size = extent(film)
    return {
        "title": film.title,
        "frameSeconds": film.frame_seconds,
        "numFrames": film.num_frames,
        "size": size,
        "camera": camera_of(film)._asdict(),
        "style": _style(),
        "spacing": tick_spacing(size),
        "ticksPerLabel": ticks_per_label(size),
        "radius": _rounded(film.radius),
        "landmark": None if film.landmark is None else _rounded(film.landmark),
        "takes": [
            {
                "label": take.label,
                "ends": _rounded(take.ends),
                "focus": _rounded(focus_path(take, film.frame_seconds)),
                "reward": _rounded(take.reward),
            }
            for take in film.takes
        ],
    }


def _style() -> dict[str, Any]:
    """The constants of `film_style`, by their names in small letters."""
    constants = vars(film_style).items()
    return {name.lower(): value for name, value in constants if name.isupper()}


def _rounded(values: np.ndarray) -> list[Any]:
    return np.round(np.asarray(values, np.float64), _DIGITS).tolist()
