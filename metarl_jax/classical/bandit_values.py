"""What the best possible agent earns in a Bernoulli bandit, computed exactly."""

import functools
import math

from metarl_jax.checks import require

_MOST_BELIEFS = 2_000_000  # some 20 seconds, and 2 GB

Counts = tuple[int, int]  # successes and failures of one arm


def bayes_optimal_value(num_arms: int, num_pulls: int) -> float:
    """The expected total reward of the Bayes-optimal agent, undiscounted.

    Success probabilities are independent and uniform in [0, 1], as in Duan et al.
    (2016), so that an arm's belief is Beta(successes + 1, failures + 1). Dynamic
    programming over beliefs about all arms: arms are alike, and so a belief is the
    multiset of the counts of those arms that have been pulled.

    Args:
      num_arms: k.
      num_pulls: n, of one trial.

    Raises:
      ValueError: where there are more beliefs than can be gone through.
    """
    require(num_arms >= 1, f"num_arms must be at least 1, not {num_arms}")
    require(num_pulls >= 0, f"num_pulls must be at least 0, not {num_pulls}")
    if num_arms == 1:
        return num_pulls / 2  # nothing to choose, whatever is believed
    require(
        num_beliefs(num_arms, num_pulls, enough=_MOST_BELIEFS) < _MOST_BELIEFS,
        f"num_arms={num_arms} and num_pulls={num_pulls} make more than "
        f"{_MOST_BELIEFS:,} beliefs: choose fewer pulls or fewer arms",
    )

    @functools.cache
    def value(arms: tuple[Counts, ...], pulls_left: int) -> float:
        if pulls_left == 0:
            return 0.0
        choices = set(arms) if len(arms) == num_arms else {*arms, (0, 0)}
        return max(value_of_pull(arms, arm, pulls_left) for arm in choices)

    def value_of_pull(arms: tuple[Counts, ...], arm: Counts, pulls_left: int) -> float:
        successes, failures = arm
        mean = (successes + 1) / (successes + failures + 2)
        after_success = _replace(arms, arm, (successes + 1, failures))
        after_failure = _replace(arms, arm, (successes, failures + 1))
        return mean * (1 + value(after_success, pulls_left - 1)) + (1 - mean) * value(
            after_failure, pulls_left - 1
        )

    return value((), num_pulls)


def num_beliefs(num_arms: int, num_pulls: int, enough: float = math.inf) -> int:
    """The number of beliefs that `bayes_optimal_value` goes through.

    Multisets of at most k counts, of at least one pull each and n pulls in all; there
    are m + 1 kinds of counts of m pulls. Stops counting at `enough`.
    """
    num_arms = min(num_arms, num_pulls)
    ways = [[0] * (num_pulls + 1) for _ in range(num_arms + 1)]  # [arms, pulls]
    ways[0][0] = 1
    kinds = (pulls for pulls in range(1, num_pulls + 1) for _ in range(pulls + 1))
    for pulls in kinds:  # of which there may be any number in a multiset
        for arms in range(1, num_arms + 1):
            for total in range(pulls, num_pulls + 1):
                ways[arms][total] += ways[arms - 1][total - pulls]
        if (beliefs := sum(map(sum, ways))) >= enough:
            return beliefs
    return sum(map(sum, ways))


def _replace(arms: tuple[Counts, ...], old: Counts, new: Counts) -> tuple[Counts, ...]:
    """`arms`, sorted, with `new` in place of one `old`; an `old` of (0, 0) is free."""
    rest = list(arms)
    if old != (0, 0):
        rest.remove(old)
    return tuple(sorted([*rest, new]))
