"""What the means of beliefs tell of the task: a linear probe, a map in the plane."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from metarl_jax.checks import require
from metarl_jax.types import Array

NUM_FOLDS = 5
_PENALTY = 1e-3  # on squared coefficients of features with variance 1
_SMALLEST_SCALE = 1e-6  # below it a feature is constant but for rounding


def num_distinct(parameters: ArrayLike) -> int:
    """How many different tasks there are among `parameters`, [M, P]."""
    return len(np.unique(parameters, axis=0))


def task_folds(parameters: ArrayLike) -> np.ndarray:
    """Divides tasks into `NUM_FOLDS` folds, those that are the same into one.

    Args:
      parameters: of the tasks, [M, P].

    Returns:
      The fold of each task, int [M].

    Raises:
      ValueError: if there are fewer distinct tasks than folds.
    """
    number = num_distinct(parameters)
    require(
        number >= NUM_FOLDS,
        f"a probe needs {NUM_FOLDS} distinct tasks or more, not {number}",
    )
    _, first, distinct = np.unique(
        parameters, axis=0, return_index=True, return_inverse=True
    )
    by_appearance = np.argsort(np.argsort(first))
    return by_appearance[distinct.reshape(-1)] % NUM_FOLDS


def probe_curve(means: Array, parameters: Array, folds: ArrayLike) -> Array:
    """`probe_r_squared` at each step of a trial, each with a probe of its own.

    Args:
      means: of beliefs, [M, K+1, T, E, Z].
      parameters: of the tasks, [M, P].
      folds: of the tasks, as `task_folds` divides them, [M].

    Returns:
      [K+1, T, P].
    """
    of_step = lambda features: probe_r_squared(features, parameters, folds)
    return jax.vmap(jax.vmap(of_step, in_axes=1), in_axes=1)(means)


def probe_r_squared(features: Array, parameters: Array, folds: ArrayLike) -> Array:
    """How well a linear map reads the parameters of tasks that it was not fitted to.

    Ridge regression on standardised features, fitted to all folds but one and tested on
    that one, for each. R^2 = 1 - (squared errors) / (squared distances to
    the mean of those that were fitted): 1 where all can be read, 0 where nothing is
    better than that mean, below 0 where the probe is misled.

    Args:
      features: [M, E, Z]; all E of a task are on the same side of the split.
      parameters: [M, P].
      folds: of the tasks, as `task_folds` divides them, [M].

    Returns:
      [P]; NaN for a parameter that does not vary.
    """
    _, num_rows, size = features.shape
    rows = features.reshape(-1, size)
    targets = jnp.repeat(parameters, num_rows, axis=0)
    fold_of_row = jnp.repeat(jnp.asarray(folds), num_rows)
    errors, totals = jax.vmap(
        lambda fold: _errors(rows, targets, (fold_of_row != fold).astype(float))
    )(jnp.arange(NUM_FOLDS))
    error, total = errors.sum(axis=0), totals.sum(axis=0)
    return jnp.where(total > 0, 1 - error / total, jnp.nan)


def principal_plane(points: Array) -> tuple[Array, Array]:
    """The two directions in which points vary most.

    Args:
      points: [M, Z].

    Returns:
      Their coordinates along these directions, [M, 2], and the parts of the variance
      that lie along them, [2]; zero where there is no second direction.
    """
    centred = points - jnp.mean(points, axis=0)
    centred = jnp.pad(centred, ((0, 0), (0, max(0, 2 - points.shape[1]))))
    _, sizes, directions = jnp.linalg.svd(centred, full_matrices=False)
    total = jnp.maximum(jnp.sum(sizes**2), jnp.finfo(sizes.dtype).tiny)
    return centred @ directions[:2].T, sizes[:2] ** 2 / total


def _errors(rows: Array, targets: Array, is_fitted: Array) -> tuple[Array, Array]:
    """Squared errors of the probe and of the mean on the rows that are not fitted.

    Args:
      rows: [R, Z].
      targets: [R, P].
      is_fitted: 1 for rows that the probe is fitted to, 0 for the others, [R].

    Returns:
      Two sums over rows, [P] each.
    """
    weights = is_fitted / jnp.sum(is_fitted)
    centred = rows - weights @ rows
    scale = jnp.sqrt(weights @ centred**2)
    scaled = centred / jnp.maximum(scale, _SMALLEST_SCALE)
    distances = targets - weights @ targets
    weighted = scaled * weights[:, None]
    covariance = weighted.T @ scaled + _PENALTY * jnp.eye(rows.shape[1])
    coefficients = jnp.linalg.solve(covariance, weighted.T @ distances)
    errors = distances - scaled @ coefficients
    left_out = 1 - is_fitted
    return left_out @ errors**2, left_out @ distances**2
