"""One meta-iteration over eight devices is the one that a single device makes."""

import re

import jax
import numpy as np
import probe

from envs.point import Point
from metarl_jax import training
from metarl_jax.algorithms import MamlConfig, PrompConfig, Rl2Config, make
from metarl_jax.communication import Reduction, reductions
from metarl_jax.networks import NetworkConfig
from metarl_jax.optimizers import AdamConfig, TrustRegionConfig
from metarl_jax.sequence_models import GruConfig
from metarl_jax.task_axis import TaskAxis
from metarl_jax.trial_optimizers import TrialProximalConfig

NUM_TASKS = 8
SMALL = {
    "num_episodes": 3,
    "inner_step_sizes": (0.5,),
    "network": NetworkConfig(hidden_sizes=(4,), initial_std=0.7),
}
LEARNERS = {
    "adam": MamlConfig(**SMALL, outer=AdamConfig(1e-2)),
    # damped, so that products do not amplify rounding
    "trust region": MamlConfig(**SMALL, outer=TrustRegionConfig(damping=0.03)),
    "promp": PrompConfig(**SMALL),
}


def sample_goal(key):
    return jax.random.uniform(key, (2,), minval=-0.5, maxval=0.5)


def iteration(config, axis, convert=probe.to_float64):
    """The program, and the state that it starts from."""
    algorithm = make(Point(horizon=5), config, axis)
    state = training.initial_state(algorithm, training.TrainingConfig())
    step = training.meta_step(algorithm, sample_goal, axis, NUM_TASKS)
    over_seeds = lambda state: axis.over_seeds(step, state)
    program = jax.jit(over_seeds, out_shardings=axis.everywhere)
    return program, axis.replicate(convert(state))


def numbers(tree):
    return [
        np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf)
        for leaf in jax.tree.leaves(tree)
    ]


def is_key(leaf):
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def test_eight_devices_equal_one():
    probe.run_with_devices(__file__, 8)


def check_eight_devices():
    """Runs in a process of its own, where there are eight devices."""
    assert jax.device_count() == 8
    for name, config in LEARNERS.items():
        program, state = iteration(config, TaskAxis(1))
        alone = program(state)
        program, state = iteration(config, TaskAxis(1, 8))
        sharded = program.lower(state).compile()
        check_what_is_sent(name, reductions(program, state), sharded.as_text())
        spread = sharded(state)
        params = jax.tree.leaves(spread[0].train_state.params)
        assert all(len(leaf.sharding.device_set) == 8 for leaf in params)
        for one, eight in zip(numbers(alone), numbers(spread), strict=True):
            np.testing.assert_allclose(eight, one, 1e-5, 1e-8, err_msg=name)


def check_minibatches():
    """Each device takes a part of every minibatch, drawn from the tasks of all."""
    outer = TrialProximalConfig(num_epochs=2, num_minibatches=2)
    config = Rl2Config(memory=GruConfig(4), outer=outer)
    ends = []
    for axis in (TaskAxis(), TaskAxis(None, 4)):
        program, state = iteration(config, axis, convert=lambda state: state)
        ends.append(numbers(program(state)))
    for one, four in zip(*ends, strict=True):
        np.testing.assert_allclose(four, one, 1e-3, 1e-5)


def check_what_is_sent(name, counted, text):
    """The all-reduces that were counted are those of the compiled program."""
    num_params = 2 * 4 + 4 + 4 * 2 + 2 + 2  # a hidden layer of 4, 2 inputs, 2 outputs
    gradient = Reduction(8 * (num_params + 1), 1)  # and the loss
    steps = LEARNERS["trust region"].outer.conjugate_gradient_steps
    two = Reduction(8 * 2, 1)  # returns of two stages, or a loss and a KL
    assert (
        counted
        == {
            "adam": [gradient, two],
            "trust region": [gradient, Reduction(8 * num_params, steps), two, two],
            "promp": [gradient._replace(count=5), Reduction(8, 1), two],
        }[name]
    )
    results = " ".join(re.findall(r"= (.*) all-reduce\(", text))  # some are combined
    sizes = sorted(8 * int(size) for size in re.findall(r"f64\[(\d*)\]", results))
    assert sizes == sorted(each.num_bytes for each in counted), results
    others = r"all-gather|all-to-all|collective-permute|reduce-scatter"
    assert not re.search(others, text)


if __name__ == "__main__":
    with jax.enable_x64(True):
        check_eight_devices()
    check_minibatches()
