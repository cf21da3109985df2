"""The formulas for operations and bytes, against XLA's count and by hand.

XLA counts every operation and takes loop bodies once; where a program goes over each
of its loops once, its count is that of the matrix products and of what is done to
single numbers. The latter is below 5% with layers of 256 units: up to thirty operations
on each of 3 x 256 numbers, against 2 W = 264,000 or a multiple of that.
"""

import jax
import jax.numpy as jnp
import pytest

from envs.point import Point
from metarl_jax import costs, losses, machine
from metarl_jax.algorithms import (
    AnilConfig,
    EMamlConfig,
    EsMamlConfig,
    FomamlConfig,
    FromScratchConfig,
    MamlConfig,
    MetaSgdConfig,
    MultiTaskConfig,
    PrompConfig,
    ReptileConfig,
    make,
)
from metarl_jax.costs import Layers, Passes
from metarl_jax.gradient_methods import inner_loss, meta_objective
from metarl_jax.losses import AdvantageConfig
from metarl_jax.networks import NetworkConfig
from metarl_jax.optimizers import ProximalConfig, TrustRegionConfig
from metarl_jax.task_axis import TaskAxis

NUM_STEPS = 64  # T E
NUM_TASKS = 2
PLAIN = AdvantageConfig(baseline="none", normalize=False)
WIDE = {
    "num_episodes": 16,
    "network": NetworkConfig((256, 256, 256)),
    "inner_advantage": PLAIN,
}


def wide(kind):
    config = kind(**WIDE)
    algorithm = make(Point(horizon=4), config, TaskAxis())
    return config, algorithm, algorithm.init(jax.random.key(0))


def layers_of(algorithm):
    return costs.layers(jax.eval_shape(algorithm.policy.init, jax.random.key(0)))


def trials_of(algorithm, state):
    """Ones in the place of what two tasks would give."""
    collect = lambda: algorithm.collect(jax.random.key(0), state, jnp.zeros(2))
    ones = lambda leaf: jnp.ones((NUM_TASKS, *leaf.shape), leaf.dtype)
    return jax.tree.map(ones, jax.eval_shape(collect))


def xla_flops(fn, *arguments):
    return jax.jit(fn).lower(*arguments).compile().cost_analysis()["flops"]


def assert_counts(passes, layers, num_steps, fn, *arguments):
    formula = num_steps * passes.flops(layers)
    assert formula <= xla_flops(fn, *arguments) <= 1.05 * formula


@pytest.fixture(scope="module")
def maml():
    config, algorithm, state = wide(MamlConfig)
    trial = jax.tree.map(lambda leaf: leaf[0], trials_of(algorithm, state))
    return config, algorithm, state.params, trial


def test_forward_gradient_and_hessian_passes_are_those_that_xla_counts(maml):
    config, algorithm, params, trial = maml
    layers = layers_of(algorithm)
    rollout = jax.tree.map(lambda leaf: leaf[0], trial)
    loss = lambda params: inner_loss(algorithm.policy, config)(params, rollout)
    means = lambda params: losses.distributions(algorithm.policy, params, rollout).mean
    product = lambda params, vector: jax.jvp(jax.grad(loss), (params,), (vector,))
    gradient = Passes(gradient=1)
    assert_counts(Passes(forward=1), layers, NUM_STEPS, means, params)
    assert_counts(gradient, layers, NUM_STEPS, jax.grad(loss), params)
    both = gradient + Passes(hessian=1)
    assert_counts(both, layers, NUM_STEPS, product, params, params)


def test_derivative_of_the_adapted_policy_and_its_transpose_cost_the_same(maml):
    config, algorithm, params, trial = maml
    objective = meta_objective(algorithm.policy, algorithm.adaptation, config)
    policy = lambda params: objective.policy(params, trial)
    adapted, jvp = jax.jit(lambda p: jax.linearize(policy, p))(params)
    vjp = lambda jvp, tangent: jax.linear_transpose(jvp, params)(tangent)
    one_way = Passes(hessian=1, tangent=1)
    assert_counts(one_way, layers_of(algorithm), NUM_STEPS, jvp, params)
    assert_counts(one_way, layers_of(algorithm), NUM_STEPS, vjp, jvp, adapted)


@pytest.mark.parametrize(
    "kind, passes",
    [
        (MamlConfig, Passes(gradient=2, hessian=1)),
        (MetaSgdConfig, Passes(gradient=2, hessian=1)),
        (FomamlConfig, Passes(gradient=2)),
        (EMamlConfig, Passes(gradient=2, hessian=1)),  # its two stages are a loop
        (ReptileConfig, Passes(gradient=1)),  # its two updates are a loop
    ],
)
def test_meta_gradient_costs_what_xla_counts(kind, passes):
    _, algorithm, state = wide(kind)
    num_steps = NUM_TASKS * NUM_STEPS
    layers, trials = layers_of(algorithm), trials_of(algorithm, state)
    assert_counts(passes, layers, num_steps, algorithm.gradient, state, trials)


def test_passes_of_a_small_network_are_those_counted_by_hand():
    # 2 inputs, 3 units, 1 output. Forward: 9 products. The gradient: also 9 for the
    # weights and 3 for the hidden units. A Hessian product: 2 for each of the 9 of the
    # last layer, 1 for each of the 12 of the first. Two operations each.
    layers = Layers(weights=2 * 3 + 3 * 1, first=2 * 3)
    assert Passes(forward=1).flops(layers) == 2 * 9
    assert Passes(gradient=1).flops(layers) == 2 * (9 + 9 + 3)
    assert Passes(hessian=1).flops(layers) == 2 * (2 * 3 * 3 + 6 + 6)
    assert Passes(tangent=1).flops(layers) == 2 * (2 * 3 + 6)


def test_layers_are_the_matrices_of_the_policy():
    _, algorithm, _ = wide(MamlConfig)
    middle = 256 * 256
    expected = Layers(weights=2 * 256 + 2 * middle + 256 * 2, first=2 * 256)
    assert layers_of(algorithm) == expected


TRIAL = Passes(forward=3, gradient=2)  # two adaptations


@pytest.mark.parametrize(
    "config, collecting, learning, sweeps",
    [
        (
            MamlConfig(num_adaptation_steps=2),
            TRIAL,
            Passes(gradient=2 + 1, hessian=2),
            1,
        ),
        (
            MamlConfig(num_adaptation_steps=2, outer_stages="adapted"),
            TRIAL,
            Passes(gradient=2 + 2, hessian=2),
            1,
        ),
        (
            MamlConfig(num_adaptation_steps=2, inner_updates=3),
            Passes(forward=3, gradient=6),
            Passes(gradient=6 + 1, hessian=6),
            1,
        ),
        (
            MamlConfig(
                num_adaptation_steps=2,
                outer=TrustRegionConfig(conjugate_gradient_steps=4),
            ),
            TRIAL,
            # old policies, the gradient, what is linearised, a line search of one point
            Passes(forward=3, gradient=2 * 4 + 1, hessian=2 * 9, tangent=8),
            None,
        ),
        (
            MamlConfig(
                num_episodes=20,
                outer=TrustRegionConfig(conjugate_gradient_steps=4, fisher_rows=5),
            ),
            Passes(forward=2, gradient=1),
            Passes(forward=2.25, gradient=4.25, hessian=1 + 2, tangent=2),
            None,
        ),
        (FomamlConfig(num_adaptation_steps=2), TRIAL, Passes(gradient=2 + 1), 1),
        (MultiTaskConfig(), Passes(forward=1), Passes(gradient=1), 1),
        (
            PrompConfig(num_adaptation_steps=2, outer=ProximalConfig(num_epochs=5)),
            TRIAL,
            # policies before and after 5 epochs on all stages
            Passes(forward=2 * 3, gradient=2 * 2 + 5 * (2 + 3), hessian=5 * 2),
            6,
        ),
        (ReptileConfig(num_adaptation_steps=2), TRIAL, Passes(gradient=3), 1),
        (FromScratchConfig(num_adaptation_steps=2), TRIAL, Passes(), 0),
        (
            EsMamlConfig(num_adaptation_steps=2, population_size=10),
            Passes(forward=30, gradient=20),
            Passes(),
            1,
        ),
    ],
)
def test_work_of_an_iteration_is_what_its_program_evaluates(
    config, collecting, learning, sweeps
):
    assert costs.work(config) == costs.Work(collecting, learning, sweeps)


def test_work_is_unknown_rather_than_guessed():
    assert costs.work(AnilConfig()) is None


def test_traffic_is_one_write_and_a_read_in_each_sweep():
    data = {"reward": jnp.zeros((5, 2)), "ended": jnp.zeros((5, 2), bool)}
    work = costs.work(MamlConfig(outer=ProximalConfig(num_epochs=6)))
    assert work.traffic(data) == (1 + 6) * (40 + 10)
    assert costs.work(MamlConfig(outer=TrustRegionConfig())).traffic(data) is None


def test_rates_count_both_operands_and_every_device(monkeypatch):
    half_a_second = lambda program, arguments, value: (value, 0.5)
    monkeypatch.setattr(machine, "_timed", half_a_second)
    assert machine.products_rate(1, batch=2, rows=3, width=4) == 2 * 2 * 3 * 16 / 0.5
    assert machine.memory_rate(1, numbers=100) == (400 + 400) / 0.5


def test_machine_is_described_by_what_it_is_and_not_by_its_name():
    names = {"cpu", "cores", "memory_gb", "python", "packages", "device", "git"}
    assert machine.description().keys() == names
