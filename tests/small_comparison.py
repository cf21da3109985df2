"""The comparison on point in short episodes, which take no time once compiled."""

import dataclasses

import experiments

_POINT = experiments.load_comparison("point")
_BASE = dataclasses.replace(
    _POINT.base,
    environment_options={"horizon": 5},
    training=dataclasses.replace(_POINT.base.training, iterations_per_chunk=1),
    evaluation=dataclasses.replace(_POINT.base.evaluation, num_episodes=2),
)
COMPARISON = dataclasses.replace(_POINT, base=_BASE)
STEPS = 4_000  # of an iteration of most rows
