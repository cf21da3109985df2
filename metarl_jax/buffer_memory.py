"""What memory the data of a learner take, before they take it."""

import math
from collections.abc import Callable
from typing import Any

import jax

from metarl_jax.checks import require

_LARGEST = 8e9  # bytes; of each seed


def num_bytes(shapes: Any) -> int:
    """Of all leaves, arrays or their shapes."""
    size = lambda leaf: math.prod(leaf.shape) * leaf.dtype.itemsize
    return sum(size(leaf) for leaf in jax.tree.leaves(shapes))


def check_memory(make: Callable[[], Any], mend: str) -> None:
    """Raises ValueError if what `make` returns would take more than 8 GB.

    Args:
      make: of the buffers of one seed; nothing is allocated.
      mend: what may be lowered.
    """
    taken = num_bytes(jax.eval_shape(make))
    require(
        taken <= _LARGEST,
        f"the data that are kept of each seed take {taken / 1e9:.1f} GB, above the "
        f"limit of {_LARGEST / 1e9:.1f}: lower {mend}",
    )
