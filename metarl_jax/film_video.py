"""Films as MP4, by the program ffmpeg where that is installed."""

import shutil
import subprocess
from pathlib import Path

from metarl_jax.checks import require
from metarl_jax.film_frames import frames, gif_stride
from metarl_jax.films import Film


def require_encoder() -> None:
    """Raises ValueError, with the mend, where ffmpeg is missing."""
    require(
        shutil.which("ffmpeg") is not None,
        "an MP4 needs the program ffmpeg, which is not on the PATH: install it, or "
        "make a GIF",
    )


def save_mp4(path: str | Path, film: Film) -> None:
    """Writes an MP4 that runs in real time.

    Raises:
      ValueError: if ffmpeg is missing, or fails; with what it says.
    """
    require_encoder()
    stride = gif_stride(film.frame_seconds)
    pictures = list(frames(film, stride))
    width, height = pictures[0].size
    rate = 1 / (film.frame_seconds * stride)
    command = (
        *("ffmpeg", "-y", "-loglevel", "error"),
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"),
        *("-r", f"{rate:.4f}", "-i", "-"),
        *("-pix_fmt", "yuv420p", str(path)),
    )
    data = b"".join(picture.tobytes() for picture in pictures)
    done = subprocess.run(command, input=data, capture_output=True)
    said = done.stderr.decode(errors="replace").strip()
    require(done.returncode == 0, f"ffmpeg could not write {path}: {said}")
