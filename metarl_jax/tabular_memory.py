"""A memory for each pair of a state and an action of a finite task."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from metarl_jax.checks import require
from metarl_jax.recollections import InputParts, split_input
from metarl_jax.sequence_models.segments import in_segments
from metarl_jax.types import Array, Key, Memory, Params, SequenceModel


@dataclasses.dataclass(frozen=True)
class Tabular:
    """Each pair of a state and an action has a memory, which moves on when it is met.

    For tasks whose states and actions are exchangeable: bandits, which have one state,
    and random MDPs. The environment says `num_states` and observes states one-hot. All
    memories have the same parameters, and so have the heads that compare actions
    (`action_heads.py`): the policy is equivariant to permutations of states and
    actions, and what is learned of one pair holds for all. Where an episode ends
    early, the rest of its row reads like rewards of 0 in its last state.

    References:
      Kirsch et al., Introducing Symmetries to Black Box Meta Reinforcement Learning
      (2022), for the idea, https://arxiv.org/abs/2109.10781; their memories are those
      of the weights of a network.
    """


class TabularMemory(NamedTuple):
    pairs: Memory  # of each pair, leaves [S, A, ...]
    features: Array  # [S, A, H]; from when the pair was last met, 0 before
    count: Array  # [S, A]; how often the pair was met
    known: Array  # [S, 2 H]; mean and maximum of features over actions
    shared: Memory  # of a model that reads all steps


def tabular_memory(
    num_states: int,
    num_actions: int,
    make_model: Callable[[int], SequenceModel],
    segment_length: int | None = None,
) -> SequenceModel:
    """A sequence model for each pair of a state and an action, and one for all steps.

    The model of a pair reads, whenever the pair was met, the reward, whether that was
    the end of an episode, the time, how often the pair was met, and what is known of
    the state that came next: mean and maximum over its actions of their features, or
    zero at the end of an episode. So it can learn rules like those of temporal
    differences, with steps that fall with the number of times: the count is in
    logarithms, of which a sigmoid makes a fraction 1 / (1 + n). The model of all steps
    reads the same of every step, with what is known of the present state.

    Args:
      num_states: S.
      num_actions: A.
      make_model: from its number of inputs; the number of features must be the same.
      segment_length: as in `SegmentedConfig`.

    Returns:
      A `SequenceModel` with `num_inputs(env)` inputs. Its features are those of the
      model of all steps, what is known of the present state, and the features of each
      of its actions: [H], [2 H] and [A, H], flat.

    Raises:
      ValueError: if the number of features depends on that of inputs.
    """
    num_features = make_model(1).num_features
    model = make_model(4 + 2 * num_features)
    require(
        model.num_features == num_features,
        "Tabular takes no memory whose features hold its inputs: set memory to a "
        "GruConfig or LstmConfig",
    )
    # nothing could merge the two computations in a scan
    advance = jax.checkpoint(model.step, prevent_cse=False)

    def init(key: Key) -> Params:
        pair_key, shared_key = jax.random.split(key)
        return {"pair": model.init(pair_key), "shared": model.init(shared_key)}

    def step(params: Params, inputs: Array, memory: TabularMemory):
        now = split_input(inputs, num_states, num_actions)
        return _live_on(advance, params, now, memory)

    def unroll(params: Params, inputs: Array, memory: TabularMemory):
        scanned = lambda memory, inputs: step(params, inputs, memory)[::-1]
        return jax.lax.scan(scanned, memory, inputs)[::-1]

    return SequenceModel(
        init=init,
        initial_memory=_blank(model, num_states, num_actions),
        step=step,
        unroll=in_segments(unroll, segment_length),
        num_features=(3 + num_actions) * num_features,
    )


def _blank(model: SequenceModel, num_states: int, num_actions: int) -> TabularMemory:
    table = num_states, num_actions
    for_each = lambda leaf: jnp.broadcast_to(leaf, (*table, *jnp.shape(leaf)))
    return TabularMemory(
        pairs=jax.tree.map(for_each, model.initial_memory),
        features=jnp.zeros((*table, model.num_features)),
        count=jnp.zeros(table),
        known=jnp.zeros((num_states, 2 * model.num_features)),
        shared=model.initial_memory,
    )


def _live_on(
    advance: Callable, params: Params, now: InputParts, memory: TabularMemory
) -> tuple[Array, TabularMemory]:
    """`step` of the table; `advance`: that of the model of a pair, and of all steps."""
    present, last, action = _indices(now, num_states=len(memory.known))
    read = partial(_read, index=(last, action))
    write = partial(_write, index=(last, action))
    started = now.scalars[1]
    count = read(memory.count) + 1
    event = jnp.append(now.scalars, jnp.log(count))
    features, pair = advance(
        params["pair"],
        jnp.append(event, (1 - started) * memory.known[present]),
        jax.tree.map(read, memory.pairs),
    )
    features = write(memory.features, features)
    known = _write(memory.known, _pooled(_read(features, last)), last)
    of_all, shared = advance(
        params["shared"], jnp.append(event, known[present]), memory.shared
    )
    pairs = jax.tree.map(write, memory.pairs, pair)
    count = write(memory.count, count)
    memory = TabularMemory(pairs, features, count, known, shared)
    parts = of_all, known[present], features[present].reshape(-1)
    return jnp.concatenate(parts), memory


def _pooled(features: Array) -> Array:
    """Mean and maximum over actions, [2 H], of features [A, H]."""
    return jnp.concatenate([features.mean(axis=0), features.max(axis=0)])


def _indices(now: InputParts, num_states: int) -> tuple[Array, Array, Array]:
    """The state, the last one and the last action; S and 0 if there were none."""
    last = jnp.argmax(now.last_observation)
    were_none = now.last_action.sum() == 0
    last = jnp.where(were_none, num_states, last)
    return jnp.argmax(now.observation), last, jnp.argmax(now.last_action)


def _read(leaves: Array, index: Any) -> Array:
    return leaves.at[index].get(mode="clip")


def _write(leaves: Array, leaf: Array, index: Any) -> Array:
    """Nothing outside the table."""
    return leaves.at[index].set(leaf, mode="drop")
