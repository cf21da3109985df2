"""A memory for each pair of a state and an action of a finite task."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from metarl_jax.checks import require
from metarl_jax.sequence_models.segments import SegmentedConfig, in_segments
from metarl_jax.types import Array, Key, Memory, Params, SequenceModel


@dataclasses.dataclass(frozen=True)
class Tabular(SegmentedConfig):
    """Each pair of a state and an action has a memory, which moves on when it is met.

    For tasks whose states and actions are exchangeable, with observations that are
    one-hot: bandits, which have one state, and random MDPs. All memories have the same
    parameters, and so have the heads that compare actions (`action_heads.py`): the
    policy of renamed states and actions is the renamed policy, and what is learned of
    one pair holds for all.
    """


class TrialInputs(NamedTuple):
    """The input of a step, in parts."""

    state: Array  # [S], one-hot
    last_state: Array  # [S], one-hot; 0 at first
    last_action: Array  # [A], one-hot; 0 at first
    others: Array  # [3]; reward, whether an episode has just started, time


class TabularState(NamedTuple):
    pairs: Memory  # of each pair, leaves [S * A, ...]
    features: Array  # [S * A, H]; from when the pair was last met, 0 before
    shared: Memory  # of a model that reads all steps


def tabular_memory(
    num_states: int,
    num_actions: int,
    make_model: Callable[[int], SequenceModel],
    segment_length: int | None = None,
) -> SequenceModel:
    """A sequence model for each pair of a state and an action, and one for all steps.

    The model of a pair reads the reward and the time whenever the pair was met, and
    what is known of the state that came next: mean and maximum over its actions of
    their features, or zero at the end of an episode. So it can learn rules like those
    of temporal differences. The model of all steps reads the same of every step.

    Args:
      num_states: S.
      num_actions: A.
      make_model: from its number of inputs.
      segment_length: as in `SegmentedConfig`.

    Returns:
      A `SequenceModel` with `num_inputs(env)` inputs. Its features are those of the
      model of all steps and of each action in the present state, [1 + A, H], flat.

    Raises:
      ValueError: if the number of features depends on that of inputs.
    """
    num_pairs = num_states * num_actions
    num_features = make_model(1).num_features
    model = make_model(3 + 2 * num_features)
    require(
        model.num_features == num_features,
        "Tabular takes no memory whose features hold its inputs: set memory to a "
        "GruConfig",
    )
    for_each = lambda leaf: jnp.broadcast_to(leaf, (num_pairs, *jnp.shape(leaf)))

    def init(key: Key) -> Params:
        pair_key, shared_key = jax.random.split(key)
        return {"pair": model.init(pair_key), "shared": model.init(shared_key)}

    # nothing could merge the two computations in a scan
    advance = jax.checkpoint(model.step, prevent_cse=False)

    def step(params: Params, inputs: Array, memory: TabularState):
        ends = num_states, 2 * num_states, 2 * num_states + num_actions
        now = TrialInputs(*jnp.split(inputs, ends))
        state = jnp.argmax(now.state)
        pair = num_actions * jnp.argmax(now.last_state) + jnp.argmax(now.last_action)
        pair = jnp.where(now.last_action.any(), pair, num_pairs)
        known = pooled(memory.features[state])
        features, of_pair = advance(
            params["pair"],
            jnp.append(now.others, (1 - now.others[1]) * known),
            jax.tree.map(lambda leaves: leaves.at[pair].get(mode="clip"), memory.pairs),
        )
        put = lambda leaves, leaf: leaves.at[pair].set(leaf, mode="drop")
        pairs = jax.tree.map(put, memory.pairs, of_pair)
        flat = memory.features.reshape(num_pairs, -1)
        by_state = put(flat, features).reshape(memory.features.shape)
        actions = by_state[state]
        of_all, shared = advance(
            params["shared"], jnp.append(now.others, pooled(actions)), memory.shared
        )
        return jnp.append(of_all, actions), TabularState(pairs, by_state, shared)

    def unroll(params: Params, inputs: Array, memory: TabularState):
        scanned = lambda memory, inputs: step(params, inputs, memory)[::-1]
        return jax.lax.scan(scanned, memory, inputs)[::-1]

    return SequenceModel(
        init=init,
        initial_memory=TabularState(
            jax.tree.map(for_each, model.initial_memory),
            jnp.zeros((num_states, num_actions, num_features)),
            model.initial_memory,
        ),
        step=step,
        unroll=in_segments(unroll, segment_length),
        num_features=(1 + num_actions) * num_features,
    )


def pooled(features: Array) -> Array:
    """Mean and maximum over actions, [2 H], of features [A, H]."""
    return jnp.concatenate([features.mean(axis=0), features.max(axis=0)])


def _mask(chosen: Array, leaves: Array) -> Array:
    """`chosen`, [P], with as many axes as leaves [P, ...]."""
    return chosen.reshape(-1, *[1] * (leaves.ndim - 1))


def _chosen(chosen: Array, leaves: Array) -> Array:
    """The one of leaves [P, ...] that was chosen; zero if none was."""
    kept = jnp.where(_mask(chosen, leaves), leaves, 0)
    return kept.sum(axis=0, dtype=leaves.dtype)


def _replaced(chosen: Array, leaves: Array, leaf: Array) -> Array:
    """Leaves [P, ...] with another one in the place of the one that was chosen."""
    return jnp.where(_mask(chosen, leaves), leaf, leaves)
