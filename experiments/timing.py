"""Seconds that compiled functions take."""

import time
from collections.abc import Callable
from typing import Any


def timed(run: Callable[[], Any], repeats: int) -> list[float]:
    """Seconds until the results of `run()` are there, after one untimed run."""
    import jax

    jax.block_until_ready(run())
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(run())
        seconds.append(time.perf_counter() - start)
    return seconds
