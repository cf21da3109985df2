"""Every algorithm against the shared protocol, and each against what it is known by."""

import dataclasses
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import probe
import pytest

from envs.point import Point
from envs.tasks import NumberedTask
from envs.wrappers import WithNumberedTasks
from metarl_jax import losses, training
from metarl_jax.adaptation import implicit_adaptation
from metarl_jax.algorithms import (
    ALGORITHMS,
    AnilConfig,
    CaviaConfig,
    EMamlConfig,
    EsMamlConfig,
    FromScratchConfig,
    ImamlConfig,
    MamlConfig,
    MetaSgdConfig,
    MultiTaskConfig,
    PearlConfig,
    PrompConfig,
    ReptileConfig,
    Rl2Config,
    TaskEmbeddingConfig,
    VaribadConfig,
    make,
)
from metarl_jax.algorithms.e_maml import outcome_advantage
from metarl_jax.belief_learning import BeliefLearningConfig
from metarl_jax.gradient_methods import (
    InnerConfig,
    MetaGradientConfig,
    inner_loop,
    meta_objective,
)
from metarl_jax.networks import NetworkConfig, is_hidden, mlp_policy
from metarl_jax.optimizers import AdamConfig, ProximalConfig
from metarl_jax.sequence_models import GruConfig
from metarl_jax.task_axis import TaskAxis
from metarl_jax.trial_autoencoder import AutoencoderConfig

ENV = Point(horizon=5)
NETWORK = NetworkConfig(hidden_sizes=(4,), initial_std=0.7)
SMALL = {"num_episodes": 3, "inner_step_sizes": (0.5, 0.25), "network": NETWORK}
GOALS = jnp.array([[0.3, 0.2], [-0.4, 0.1], [0.0, -0.3], [0.2, -0.2]])


def each(kinds):
    return pytest.mark.parametrize("kind", kinds, ids=lambda kind: kind.__name__)


EVERY = each(ALGORITHMS)
NUMBERED = WithNumberedTasks(ENV, len(GOALS))


def problem(kind):
    """The environment, and four tasks, in which a kind of algorithm is tried."""
    if kind in (PearlConfig, TaskEmbeddingConfig):
        return NUMBERED, NumberedTask(GOALS, jnp.arange(len(GOALS)))
    return ENV, GOALS


def small(kind, **options):
    if kind is EsMamlConfig:
        options = {"population_size": 4} | options
    if kind is ImamlConfig:  # I + H / lambda is well conditioned
        options = {"inner_step_sizes": (0.1, 0.05)} | options
    if kind is CaviaConfig:
        options = {"context_size": 3} | options
    if kind is Rl2Config:
        return Rl2Config(**{"num_episodes": 3, "memory": GruConfig(4)} | options)
    if kind is VaribadConfig:
        autoencoder = AutoencoderConfig(memory=GruConfig(4))
        learning = BeliefLearningConfig(batch_size=2, num_minibatches=2, buffer_size=20)
        sizes = {"autoencoder": autoencoder, "belief_learning": learning}
        return VaribadConfig(
            **{"num_episodes": 3, "network": NETWORK} | sizes | options
        )
    if kind is PearlConfig:
        policy = dataclasses.replace(NETWORK, state_dependent_std=True, squash=True)
        sizes = {"policy": policy, "critic": NETWORK, "encoder": NETWORK}
        sizes |= {"num_updates": 2, "meta_batch": 2, "batch_size": 4, "context_size": 4}
        return PearlConfig(
            **{"num_episodes": 3, "num_adaptation_steps": 1} | sizes | options
        )
    return kind(**SMALL | options)


def init(config):
    env, _ = problem(type(config))
    return make(env, config, TaskAxis()).init(jax.random.key(0))


def collect(config, state):
    """Trials of the four tasks."""
    env, tasks = problem(type(config))
    keys = jax.random.split(jax.random.key(1), len(GOALS))
    trial = make(env, config, TaskAxis()).collect
    return jax.vmap(trial, in_axes=(0, None, 0))(keys, state, tasks)


def update(config, state, trials):
    env, _ = problem(type(config))
    return make(env, config, TaskAxis()).update(jax.random.key(2), state, trials)


def gradient_and_metrics(config, state, trials):
    algorithm = make(problem(type(config))[0], config, TaskAxis())
    _, metrics = algorithm.update(jax.random.key(2), state, trials)
    return algorithm.gradient(state, trials), metrics


@cache
def started(kind, **options):
    """An algorithm and its first state."""
    config = small(kind, **options)
    algorithm = make(problem(kind)[0], config, TaskAxis())
    return algorithm, probe.compiled(init, config)()


@cache
def data():
    """Trials of MAML with two steps of adaptation: [4, 3, T, 3]."""
    config = small(MamlConfig, num_adaptation_steps=2)
    return probe.compiled(collect, config)(started(MamlConfig)[1])


@cache
def collected(kind, **options):
    """What an algorithm learns from in four tasks.

    All that follow a meta-gradient are given the same `data`.
    """
    algorithm, state = started(kind, **options)
    config = small(kind, **options)
    if algorithm.gradient is None:
        return probe.compiled(collect, config)(state)
    num_stages = config.num_adaptation_steps + 1
    trials = jax.tree.map(lambda leaf: leaf[:, :num_stages], data())
    assert trials.reward.shape == (4, num_stages, ENV.horizon, config.num_episodes)
    return trials


@cache
def after_update(kind, **options):
    """The states before and after one update, and its metrics."""
    _, state = started(kind, **options)
    trials = collected(kind, **options)
    return state, *probe.compiled(update, small(kind, **options))(state, trials)


def before_and_after(kind):
    """The states before and after training, or one update, and the metrics."""
    return learned(kind) if kind in LEARNERS else after_update(kind)


@EVERY
def test_update_keeps_the_structure_of_the_state_and_gives_finite_metrics(kind):
    before, after, metrics = before_and_after(kind)
    shapes = lambda state: jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state)
    assert shapes(before) == shapes(after)
    assert all(np.all(np.isfinite(value)) for value in jax.tree.leaves(metrics))


@EVERY
def test_gradient_is_the_one_whose_norm_update_reports(kind):
    algorithm, state = started(kind)
    if algorithm.gradient is None:
        others = EsMamlConfig, FromScratchConfig, PearlConfig, Rl2Config
        assert kind in (*others, TaskEmbeddingConfig, VaribadConfig)
        return
    both = probe.compiled(gradient_and_metrics, small(kind))
    gradient, metrics = both(state, collected(kind))
    reported = metrics.get("gradient_norm", metrics.get("displacement"))
    np.testing.assert_allclose(optax.tree.norm(gradient), reported, rtol=1e-5)


@EVERY
def test_update_changes_the_meta_parameters_where_anything_is_learned(kind):
    before, after, _ = before_and_after(kind)
    moved = probe.relative_error(after.params, before.params) > 0
    assert moved == (kind is not FromScratchConfig)


class PosingPoint(Point):
    """Says where four links of it are, as a robot `WithPoses` does."""

    def step(self, key, state, action, task):
        *outcome, info = super().step(key, state, action, task)
        return *outcome, info | {"pose_position": jnp.zeros((4, 3))}


@cache
def trial_of_shapes(kind):
    """A trial with two steps of adaptation of a point that poses."""
    env, tasks = PosingPoint(horizon=5), problem(kind)[1]
    if isinstance(tasks, NumberedTask):
        env = WithNumberedTasks(env, len(GOALS))
    algorithm = make(env, small(kind, num_adaptation_steps=2), TaskAxis())
    params = jax.eval_shape(algorithm.init, jax.random.key(0)).params
    task = jax.tree.map(lambda leaf: leaf[0], tasks)
    return jax.eval_shape(algorithm.adapt, jax.random.key(1), params, task)


@EVERY
def test_trial_has_a_stage_before_and_after_each_adaptation(kind):
    assert trial_of_shapes(kind).reward.shape == (3, 5, 3)


@EVERY
def test_trial_tells_all_that_the_environment_tells_whatever_its_shape(kind):
    metrics = trial_of_shapes(kind).metrics
    assert metrics["pose_position"].shape == (3, 5, 3, 4, 3)


@each([kind for kind in ALGORITHMS if kind not in (Rl2Config, VaribadConfig)])
def test_adaptation_starts_from_a_policy_that_can_act(kind):
    algorithm, state = started(kind)
    start = algorithm.adaptation.init(state.params).params
    distribution, _ = algorithm.policy.apply(start, jnp.zeros(2), ())
    assert distribution.mode().shape == (2,)


LEARNING = {
    "num_episodes": 10,
    "inner_step_sizes": (0.3,),
    "network": NetworkConfig(hidden_sizes=(16,), initial_std=0.5),
}
FAST_ADAM = {"outer": AdamConfig(learning_rate=2e-2)}
PROMP = PrompConfig(**LEARNING, outer=ProximalConfig(learning_rate=1e-2))
EVOLUTION = {"num_episodes": 4, "perturbation": 0.1, "learning_rate": 5e-2}
LEARNERS = {
    kind: kind(**LEARNING | FAST_ADAM)
    for kind in ALGORITHMS
    if issubclass(kind, MetaGradientConfig)
} | {
    PrompConfig: PROMP,
    CaviaConfig: CaviaConfig(**LEARNING | FAST_ADAM | {"inner_step_sizes": (1.0,)}),
    ReptileConfig: ReptileConfig(**LEARNING),
    ImamlConfig: ImamlConfig(
        **LEARNING | {"inner_step_sizes": (0.15,), "outer": AdamConfig(1e-2)}
    ),
    EsMamlConfig: EsMamlConfig(**LEARNING | EVOLUTION),
}
FLOORS = {EsMamlConfig: -4.3, ImamlConfig: -3.9}


def uniform_goal(key):
    return jax.random.uniform(key, (2,), minval=-0.5, maxval=0.5)


def one_goal(key):
    return jnp.array([0.4, 0.3])


@cache
def learned(kind):
    """The states before and after training, and the metrics of each iteration."""
    env, axis = Point(horizon=15), TaskAxis(chunk_size=1)
    algorithm = make(env, LEARNERS[kind], axis)
    goal = one_goal if kind is MultiTaskConfig else uniform_goal
    step = training.meta_step(algorithm, goal, axis, num_tasks=8)
    start = training.initial_state(algorithm, training.TrainingConfig())
    before = jax.tree.map(np.array, start.train_state)  # training takes the buffers
    *_, (after, metrics) = training.train(step, start, axis, 60, 60)
    return before, after.train_state, metrics


def learning_curve(kind):
    """The return after adaptation in each iteration."""
    return learned(kind)[2]["return"][0, :, -1]


@each([kind for kind in LEARNERS if kind is not MultiTaskConfig])
def test_algorithm_learns_point_navigation(kind):
    """A point that stays where it starts returns -5.7; a random policy, adapted, -4."""
    assert learning_curve(kind)[-10:].mean() > FLOORS.get(kind, -3.5)


def test_policy_for_all_tasks_learns_when_there_is_one_task():
    returns = learning_curve(MultiTaskConfig)
    assert returns[:3].mean() < -7
    assert returns[-10:].mean() > -3


def test_every_algorithm_that_learns_has_a_learning_test():
    # tests/test_rl2.py and so on
    elsewhere = {PearlConfig, Rl2Config, TaskEmbeddingConfig, VaribadConfig}
    assert set(LEARNERS) | elsewhere == set(ALGORITHMS) - {FromScratchConfig}


def leaves_by_part(tree):
    """The leaves of hidden layers, and all others."""
    parts = {True: [], False: []}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        parts[is_hidden(path)].append(np.asarray(leaf))
    return parts[True], parts[False]


def first_rollout(kind, **options):
    return jax.tree.map(lambda leaf: leaf[0, 0], collected(kind, **options))


def adapted(kind, **options):
    """A policy's parameters before and after one step on the data of a trial."""
    algorithm, state = started(kind, **options)
    start = algorithm.adaptation.init(state.params)
    rollout = first_rollout(kind, **options)
    return start.params, jax.jit(algorithm.adaptation.update)(start, rollout)


def test_anil_adapts_the_head_and_nothing_else():
    before, after = adapted(AnilConfig)
    for old, new in zip(*map(leaves_by_part, (before, after.params)), strict=True):
        changed = [not np.array_equal(a, b) for a, b in zip(old, new, strict=True)]
        assert len(set(changed)) == 1
    body, head = leaves_by_part(after.params)
    assert len(body) == 2 and len(head) == 3  # weight and bias; and the spread
    np.testing.assert_array_equal(body[0], leaves_by_part(before)[0][0])
    assert not np.array_equal(head[0], leaves_by_part(before)[1][0])


def test_cavia_adapts_a_context_that_starts_at_zero():
    before, after = adapted(CaviaConfig)
    np.testing.assert_array_equal(before["context"], np.zeros(3))
    assert np.all(after.params["context"] != 0)
    jax.tree.map(
        np.testing.assert_array_equal, after.params["shared"], before["shared"]
    )


def test_meta_sgd_starts_with_the_steps_of_maml():
    _, with_factors = adapted(MetaSgdConfig)
    _, plain = adapted(MamlConfig)
    assert probe.relative_error(with_factors.params, plain.params) < 1e-6


def test_meta_sgd_factor_scales_the_step_of_its_parameter():
    algorithm, state = started(MetaSgdConfig)
    rollout = first_rollout(MetaSgdConfig)
    policy, ones = state.params
    factors = jax.tree.map(lambda leaf: jnp.full_like(leaf, -0.5), ones)

    @jax.jit
    def end(factors):
        start = algorithm.adaptation.init(state.params._replace(factors=factors))
        return algorithm.adaptation.update(start, rollout).params

    step = lambda factors: probe.flatten(end(factors)) - probe.flatten(policy)
    np.testing.assert_allclose(step(factors), -0.5 * step(ones), rtol=1e-3, atol=1e-6)


def test_reptile_moves_by_its_share_of_the_mean_displacement():
    options = {"outer_step_size": 0.3}
    algorithm, state = started(ReptileConfig, **options)
    loop = inner_loop(algorithm.policy, InnerConfig(**SMALL))

    def displacement(trial):
        end = loop.init(state.params)
        for k in range(2):  # both rollouts of a trial of one adaptation step
            end = loop.update(end, jax.tree.map(lambda leaf, k=k: leaf[k], trial))
        return jax.tree.map(jnp.subtract, end.params, state.params)

    each = jax.jit(jax.vmap(displacement))(collected(ReptileConfig))
    _, moved, _ = after_update(ReptileConfig, **options)
    expected = jax.tree.map(lambda p, d: p + 0.3 * d.mean(0), state.params, each)
    assert probe.relative_error(moved.params, expected) < 1e-6


def bowl(params, rollout):
    """Curved differently along each axis and at each point."""
    offset = params - jnp.mean(rollout.reward)
    return jnp.sum(0.5 * jnp.array([1.0, 3.0, -0.5]) * offset**2 + 0.3 * offset**3)


@pytest.mark.parametrize("differentiate", [jax.jacrev, jax.jacfwd])
def test_implicit_derivative_equals_a_dense_solve(differentiate):
    with jax.enable_x64(True):
        start, data = jnp.array([1.0, -0.3, 0.2]), probe.rollout(np.full((3, 2), 0.4))
        radius = 0.25
        loop = implicit_adaptation(bowl, lambda count: radius, 200, 20)
        end_of = lambda start: loop.update(loop.init(start), data).params
        end = end_of(start)
        slope = jax.grad(bowl)(end, data)
        np.testing.assert_allclose(end, start - radius * slope, atol=1e-12)
        curvature = jax.hessian(bowl)(end, data)
        expected = np.linalg.inv(np.eye(3) + radius * np.asarray(curvature))
        np.testing.assert_allclose(differentiate(end_of)(start), expected, atol=1e-8)


def test_implicit_gradient_does_not_get_dearer_with_the_number_of_updates():
    data = probe.rollout(np.full((3, 2), 0.4))

    def temporaries(num_updates):
        loop = implicit_adaptation(bowl, lambda count: 0.2, num_updates, 3)
        value = lambda p: jnp.sum(loop.update(loop.init(p), data).params)
        program = jax.jit(jax.grad(value)).lower(jnp.ones(3)).compile()
        return program.memory_analysis().temp_size_in_bytes

    assert temporaries(100) == temporaries(5)


def test_rematerialized_gradient_is_the_same_in_less_memory():
    gradients, memory = [], []
    options = {"num_adaptation_steps": 20, "num_episodes": 30}
    params = started(MamlConfig)[1].params
    longer = lambda leaf: jnp.tile(leaf[0], (7, 1, 10) + (1,) * (leaf.ndim - 4))
    trial = jax.tree.map(longer, data())  # [21, T, 30]
    for rematerialize in (False, True):
        config = small(MamlConfig, **options, rematerialize=rematerialize)
        policy = mlp_policy(ENV.observation_space, ENV.action_space, config.network)
        objective = meta_objective(policy, inner_loop(policy, config), config)
        program = jax.jit(jax.grad(objective.value)).lower(params, trial).compile()
        gradients.append(program(params, trial))
        memory.append(program.memory_analysis().temp_size_in_bytes)
    assert probe.relative_error(gradients[1], gradients[0]) < 1e-3
    assert memory[1] < 0.4 * memory[0]


def test_proximal_step_of_one_epoch_and_no_penalty_is_that_of_maml():
    outer = {"learning_rate": 1e-2}
    _, plain, _ = after_update(MamlConfig, outer=AdamConfig(**outer))
    once = ProximalConfig(num_epochs=1, **outer)
    _, clipped, _ = after_update(MamlConfig, outer=once)
    _, free, _ = after_update(PrompConfig, outer=once, kl_coefficient=0.0)
    assert probe.relative_error(clipped.params, plain.params) < 1e-5
    assert probe.relative_error(free.params, plain.params) < 1e-5


def after_promp(**numbers):
    """`after_update` of two steps of adaptation and ten epochs."""
    outer = ProximalConfig(learning_rate=3e-2, num_epochs=10)
    return after_update(PrompConfig, num_adaptation_steps=2, outer=outer, **numbers)


@pytest.mark.parametrize(
    "target, expected", [(1e-9, 0.2), (1e9, 0.05)], ids=["too far", "too near"]
)
def test_promp_doubles_and_halves_its_penalty_by_the_kl_reached(target, expected):
    _, after, metrics = after_promp(kl_coefficient=0.1, target_kl=target)
    np.testing.assert_allclose(after.kl_coefficient, [expected, expected], rtol=1e-6)
    assert np.all(metrics["kl"] > 0)


def test_promp_penalty_holds_the_policies_that_collect():
    kl = lambda coefficient: after_promp(kl_coefficient=coefficient)[2]["kl"]
    assert np.all(kl(100.0) < 0.3 * kl(0.0))


def test_e_maml_without_its_term_is_maml():
    _, without, _ = after_update(EMamlConfig, exploration_weight=0.0)
    _, plain, _ = after_update(MamlConfig, inner_surrogate="log_probability")
    _, exploring, _ = after_update(EMamlConfig, exploration_weight=1.0)
    assert probe.relative_error(without.params, plain.params) < 1e-6
    assert probe.relative_error(exploring.params, plain.params) > 1e-4


def test_outcome_of_a_trial_is_compared_with_the_other_tasks():
    """Returns 3, 6 and 0 of first episodes of T = 3 steps; the last stage counts."""
    ends = [[False, True, True], [False, False, True], [True, True, True]]
    reward = [[1.0, 2.0, 9.0], [1.0, 2.0, 3.0], [0.0, 9.0, 9.0]]
    stage = lambda values: jnp.asarray(values)[:, None, :, None]
    last = probe.rollout(np.zeros((3, 1)))._replace(
        reward=stage(reward), terminated=stage(ends), truncated=stage(ends)
    )
    trials = jax.tree.map(lambda leaf: leaf, last)
    trials = trials._replace(
        reward=jnp.concatenate([7 + stage(reward), stage(reward)], axis=1),
        terminated=jnp.concatenate([stage(ends)] * 2, axis=1),
        truncated=jnp.concatenate([stage(ends)] * 2, axis=1),
        observation=jnp.zeros((3, 2, 3, 1, 1)),
        next_observation=jnp.zeros((3, 2, 3, 1, 1)),
        action=jnp.zeros((3, 2, 3, 1)),
        log_prob=jnp.zeros((3, 2, 3, 1)),
    )
    expected = [0.0, 1.5, -1.5]  # per step: 1, 2, 0, less the mean of the others
    np.testing.assert_allclose(outcome_advantage(trials, False), expected, atol=1e-6)
    scaled = np.array(expected) / np.std([1, 2, 0])
    np.testing.assert_allclose(outcome_advantage(trials, True), scaled, atol=1e-5)


def test_exploration_reinforces_data_that_led_to_a_better_outcome():
    algorithm, state = started(EMamlConfig)
    trials = collected(EMamlConfig)
    bonus = jnp.array([5.0, 0.0, 0.0, 0.0])[:, None, None, None]
    better = trials._replace(reward=trials.reward.at[:, -1:].add(bonus))
    config = small(EMamlConfig, exploration_weight=100.0)
    after, _ = probe.compiled(update, config)(state, better)
    first = first_rollout(EMamlConfig)
    log_prob = lambda params: losses.distributions(
        algorithm.policy, params, first
    ).log_prob(first.action)
    likelihood = jax.jit(lambda params: jnp.sum(log_prob(params)))
    assert likelihood(after.params) > likelihood(state.params)


@pytest.mark.parametrize("field", ["inner_surrogate", "outer_stages"])
def test_misspelt_choice_is_refused(field):
    with pytest.raises(ValueError, match=f"{field} must be"):
        MamlConfig(**{field: "Last"})


def test_population_of_es_maml_surrounds_the_parameters_in_pairs():
    options = {"population_size": 6, "perturbation": 0.2}
    algorithm, state = started(EsMamlConfig, **options)
    trial = jax.eval_shape(algorithm.collect, jax.random.key(1), state, GOALS[0])
    center = probe.flatten(state.params)
    np.testing.assert_allclose(state.population.mean(0), center, atol=1e-6)
    spread = np.std(state.population - center)
    assert 0.1 < spread < 0.3
    assert trial.reward.shape == (6, 2, ENV.horizon, 3)


def test_es_maml_moves_towards_the_better_half_of_its_population():
    options = {"population_size": 2}
    _, state = started(EsMamlConfig, **options)
    trials = collected(EsMamlConfig, **options)
    favoured = jnp.array([0.0, 100.0])[None, :, None, None, None]
    biased = trials._replace(reward=trials.reward + favoured)
    after, _ = probe.compiled(update, small(EsMamlConfig, **options))(state, biased)
    step = probe.flatten(after.params) - probe.flatten(state.params)
    better = state.population[1] - probe.flatten(state.params)
    assert np.all(np.sign(step) == np.sign(better))


def test_surrogate_option_that_does_not_exist_is_named():
    options = {"clip_range": 0.1}
    with pytest.raises(ValueError, match="dice has no options clip_range; it has: "):
        InnerConfig(inner_surrogate="dice", inner_surrogate_options=options)
