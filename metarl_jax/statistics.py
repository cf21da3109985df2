"""Summaries of scores over seeds and tasks, with intervals; on the host, in numpy.

S is the number of seeds (independent training runs) and M that of evaluation tasks.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

# (scores, axis) -> the scores with these axes summarised away; as `numpy.mean`
Statistic = Callable[..., np.ndarray]

_MOST_RESAMPLED = 2**25  # scores that a bootstrap has in memory at a time


def interquartile_mean(
    scores: ArrayLike, axis: int | tuple[int, ...] | None = None
) -> np.ndarray:
    """The mean of the middle half of the scores: robust, yet uses most of them.

    The floor(n / 4) lowest and as many highest of n scores are left out, so with
    n < 4 it is the plain mean.

    Args:
      scores: of any shape.
      axis: the axes to summarise together; None: all.

    Returns:
      The scores without these axes, in float64.

    References:
      Agarwal et al., Deep Reinforcement Learning at the Edge of the Statistical
      Precipice (2021), https://arxiv.org/abs/2108.13264
    """
    scores = np.asarray(scores, np.float64)
    axes = tuple(range(scores.ndim)) if axis is None else np.atleast_1d(axis)
    last = range(-len(axes), 0)
    scores = np.moveaxis(scores, axes, last)
    scores = scores.reshape(*scores.shape[: scores.ndim - len(axes)], -1)
    count = scores.shape[-1]
    if count == 0:
        raise ValueError("interquartile_mean needs at least one score, got none")
    cut = count // 4
    scores = np.partition(scores, (cut, count - cut - 1), axis=-1)
    return scores[..., cut : count - cut].mean(-1)


def stratified_bootstrap(
    scores: ArrayLike,
    statistic: Statistic = interquartile_mean,
    num_resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
    resample_tasks: bool = True,
    shared_seeds: bool = False,
) -> np.ndarray:
    """A percentile bootstrap interval of a statistic over seeds and tasks.

    Each of the resamples is made of M strata of S scores:

    1. With `resample_tasks`, M tasks are drawn with replacement, and the interval is
       about the distribution that the tasks were drawn from. Without, the tasks are
       taken as they are, and the interval is about these M tasks only (Agarwal et
       al.); with one seed it then has no width.
    2. Within each of the M tasks, S of its scores are drawn with replacement,
       independently of the other tasks. With `shared_seeds`, S seeds are drawn once
       and serve all tasks of the resample.

    Scores of one training run in many tasks share what is good or bad about that run.
    Where runs differ by more than the noise of a single score, only `shared_seeds`
    covers it: with `resample_tasks` that is the pigeonhole bootstrap of Owen. Step 2
    on top of step 1 makes intervals a little too wide rather than too narrow. No
    bootstrap tells much from two or three seeds.

    Args:
      scores: [S, M, ...]; further axes, such as adaptation steps, are kept, and all
        entries of a resample are drawn together along them.
      statistic: called with some of the resamples, [R, S, M, ...], and `axis=(1, 2)`,
        for example `interquartile_mean`, `numpy.mean` or `numpy.median`.
      num_resamples: how many resamples the percentiles are of.
      level: the probability that the interval is to cover, in (0, 1).
      seed: of the draws; the same seed gives the same interval.
      resample_tasks: see step 1.
      shared_seeds: see step 2.

    Returns:
      [2, ...]: the lower and the upper end.

    Raises:
      ValueError: `scores` has no seeds or no tasks, or an argument is out of range.

    References:
      Agarwal et al., Deep Reinforcement Learning at the Edge of the Statistical
      Precipice (2021), section 4 and appendix A.5, https://arxiv.org/abs/2108.13264
      Owen, The pigeonhole bootstrap (2007), https://arxiv.org/abs/0712.1111
    """
    scores = np.asarray(scores, np.float64)
    _check(scores, num_resamples, level)
    num_seeds, num_tasks = scores.shape[:2]
    generator = np.random.default_rng(seed)
    tasks = np.broadcast_to(np.arange(num_tasks), (num_resamples, num_tasks))
    if resample_tasks:
        tasks = generator.integers(num_tasks, size=(num_resamples, num_tasks))
    strata = 1 if shared_seeds else num_tasks
    seeds = generator.integers(num_seeds, size=(num_resamples, num_seeds, strata))

    def of_part(part: slice) -> np.ndarray:
        return statistic(scores[seeds[part], tasks[part, None]], axis=(1, 2))

    size = max(1, _MOST_RESAMPLED // scores.size)
    parts = [slice(first, first + size) for first in range(0, num_resamples, size)]
    resampled = np.concatenate([of_part(part) for part in parts])
    tail = (1 - level) / 2
    return np.quantile(resampled, [tail, 1 - tail], axis=0)


def ratio_interval(
    numerator: ArrayLike,
    denominator: ArrayLike,
    statistic: Statistic = np.median,
    num_resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> np.ndarray:
    """A percentile bootstrap interval of a ratio between two independent samples.

    Args:
      numerator: scores above 0, [R].
      denominator: scores above 0, [R'].
      statistic: of each sample, called with [num_resamples, R] and `axis=1`.
      num_resamples: how many resamples of both the percentiles are of.
      level: the probability that the interval is to cover, in (0, 1).
      seed: of the draws; the same seed gives the same interval.

    Returns:
      [2]: the lower and the upper end.
    """
    generator = np.random.default_rng(seed)
    above, below = (
        statistic(
            generator.choice(
                np.asarray(scores, np.float64), (num_resamples, len(scores))
            ),
            axis=1,
        )
        for scores in (numerator, denominator)
    )
    tail = (1 - level) / 2
    return np.quantile(above / below, [tail, 1 - tail])


def oracle_normalized(
    score: ArrayLike, random: ArrayLike, oracle: ArrayLike
) -> np.ndarray:
    """Returns on a common scale, in percent: random is 0, the oracle 100.

    Args:
      score: returns, of any shape.
      random: those of a randomly initialised policy; broadcast against `score`.
      oracle: those of a policy that is told the task; broadcast against `score`.

    Returns:
      100 (score - random) / (oracle - random), in the broadcast shape. NaN where the
      oracle is no better than random, since there is then no scale.
    """
    score, random, oracle = (np.asarray(x, np.float64) for x in (score, random, oracle))
    scale = np.where(oracle > random, oracle - random, np.nan)
    return 100 * (score - random) / scale


def oracle_normalized_interval(
    score: ArrayLike,
    random: ArrayLike,
    oracle: ArrayLike,
    num_resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> np.ndarray:
    """A percentile bootstrap interval of `oracle_normalized` mean returns.

    Tasks are drawn together for all three, and the seeds of each on their own, but for
    an agent that is its own reference: it has the same draws in both places.

    Args:
      score: returns by training seed and task, [S, M, ...].
      random: likewise, [S', M].
      oracle: likewise, [S'', M].
      num_resamples: how many resamples the percentiles are of.
      level: the probability that the interval is to cover, in (0, 1).
      seed: of the draws; the same seed gives the same interval.

    Returns:
      [2, ...]: the lower and the upper end, of the resamples in which the oracle is
      better than random; NaN where there are none.

    Raises:
      ValueError: an argument is out of range, or the three are not of as many tasks.
    """
    score, *references = (np.asarray(x, np.float64) for x in (score, random, oracle))
    _check(score, num_resamples, level)
    _check_references(score, references)
    generator = np.random.default_rng(seed)
    num_tasks = score.shape[1]
    tasks = generator.integers(num_tasks, size=(num_resamples, 1, num_tasks))
    draws = [
        generator.integers(len(scores), size=(num_resamples, len(scores), 1))
        for scores in (score, *references)
    ]
    means = lambda scores, seeds: scores[seeds, tasks].mean(axis=(1, 2))
    random, oracle = (
        means(scores, draws[0] if _is_part(scores, score) else seeds)
        for scores, seeds in zip(references, draws[1:], strict=True)
    )
    score = means(score, draws[0])
    like = (slice(None), *[None] * (score.ndim - 1))
    known = oracle_normalized(score, random[like], oracle[like])[oracle > random]
    tail = (1 - level) / 2
    if not len(known):
        return np.full((2, *score.shape[1:]), np.nan)
    return np.quantile(known, [tail, 1 - tail], axis=0)


def _is_part(reference: np.ndarray, score: np.ndarray) -> bool:
    """True where scores [S, M, ...] have a step with those of a reference [S', M]."""
    if reference.shape != score.shape[:2]:
        return False
    same = score == reference.reshape(*reference.shape, *[1] * (score.ndim - 2))
    return bool(same.all(axis=(0, 1)).any())


def _check_references(score: np.ndarray, references: list[np.ndarray]) -> None:
    num_tasks = score.shape[1]
    for scores in references:
        if scores.ndim != 2 or not len(scores) or scores.shape[1] != num_tasks:
            raise ValueError(
                "random and oracle must be [seeds, tasks], on the tasks of the scores, "
                f"here {num_tasks}, got shape {scores.shape}"
            )


def _check(scores: np.ndarray, num_resamples: int, level: float) -> None:
    if scores.ndim < 2 or 0 in scores.shape[:2]:
        raise ValueError(
            "scores must be [seeds, tasks, ...] with at least one of each, "
            f"got shape {scores.shape}"
        )
    if num_resamples < 1:
        raise ValueError(f"num_resamples must be at least 1, got {num_resamples}")
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
