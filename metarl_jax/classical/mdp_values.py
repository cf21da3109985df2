"""The most that can be expected of an episode in a known tabular MDP."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from metarl_jax.exact import TabularMdp, optimal_action_values
from metarl_jax.types import Array, Key, Task


def optimal_return(mdp: TabularMdp, horizon: int, first_state: int = 0) -> Array:
    """The expected undiscounted return of an episode under an optimal policy.

    Args:
      mdp: the true MDP; any object with `transition` [S, A, S] and `reward` [S, A].
      horizon: T.
      first_state: where episodes start.

    Returns:
      A scalar; the policy knows the MDP and the time.
    """
    return jnp.max(optimal_action_values(mdp, horizon)[0, first_state])


def optimal_returns(
    key: Key, sample_task: Callable[[Key], Task], horizon: int, num_tasks: int
) -> np.ndarray:
    """`optimal_return` of tasks drawn at random.

    Args:
      key: consumed.
      sample_task: draws an MDP.
      horizon: T.
      num_tasks: M.

    Returns:
      [M]; their mean is what an agent that is told each task gets in an episode.
    """

    def value(key: Key) -> Array:
        return optimal_return(sample_task(key), horizon)

    return np.asarray(jax.jit(jax.vmap(value))(jax.random.split(key, num_tasks)))
