"""The autoencoder of trials: pieces of its objective by hand, and what it reads."""

import dataclasses
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import probe
import pytest

import envs
from envs.wrappers import WithNumberedTasks
from metarl_jax.beliefs import Belief, standard_belief
from metarl_jax.lives import Life, by_life, by_step, life_shapes, lives
from metarl_jax.reward_likelihoods import SquaredError, TwoValued
from metarl_jax.sequence_models import GruConfig
from metarl_jax.trial_autoencoder import (
    AutoencoderConfig,
    trial_autoencoder,
    trial_beliefs,
    trial_surprise,
)
from metarl_jax.trial_decoder import DecoderConfig, trial_decoder

ENV, _ = envs.make("grid_navi", size=3, horizon=3)
LENGTH = 6
DECODER = DecoderConfig((8,), num_features=4, likelihood=TwoValued(-0.1, 1.0))
CONFIG = AutoencoderConfig(
    embedding_size=2, input_sizes=(8,), memory=GruConfig(8), decoder=DECODER
)
ONE_PAYS = dataclasses.replace(DECODER, reward_of="one_observation")
EACH_MAY_PAY = dataclasses.replace(DECODER, reward_of="next_observation")
CHANGES = DecoderConfig((8,), num_features=4, predict_transitions=True)


def trial(seed=0, num_lives=2):
    """A trial [2, 3, E] of random numbers of the right kinds."""
    shape = (2, 3, num_lives)
    random = np.random.RandomState(seed)
    position = jnp.asarray(random.randint(0, 3, (*shape, 2)), float)
    following = jnp.asarray(random.randint(0, 3, (*shape, 2)), float)
    truncated = np.zeros(shape, bool)
    truncated[:, -1] = True
    return probe.rollout(np.zeros((3, 1)))._replace(
        observation=position,
        action=jnp.asarray(random.randint(0, 5, shape)),
        log_prob=jnp.zeros(shape),
        reward=jnp.asarray(random.choice([-0.1, 1.0], shape), jnp.float32),
        terminated=jnp.zeros(shape, bool),
        truncated=jnp.asarray(truncated),
        next_observation=following,
    )


@cache
def built(decoder=DECODER):
    config = AutoencoderConfig(2, (8,), GruConfig(8), decoder)
    autoencoder = trial_autoencoder(ENV, config, LENGTH)
    functions = {name: fn for name, fn in autoencoder._asdict().items() if callable(fn)}
    compiled = autoencoder._replace(**jax.tree.map(jax.jit, functions))
    return compiled, compiled.init(jax.random.key(0))


def first_life():
    return jax.tree.map(lambda leaf: leaf[0], lives(ENV, trial()))


def silent(params, *path):
    """Parameters whose network at `path` puts out zeros."""
    if not path:
        return jax.tree.map(jnp.zeros_like, params)
    name, *rest = path
    return params | {name: silent(params[name], *rest)}


def test_two_valued_likelihood_by_hand():
    likelihood = TwoValued(-0.1, 1.0)
    output = jnp.log(3.0)  # the high reward has probability 3/4
    np.testing.assert_allclose(likelihood.mean(output), 0.75 - 0.025, rtol=1e-6)
    np.testing.assert_allclose(likelihood.error(output, 1.0), np.log(4 / 3), rtol=1e-6)
    np.testing.assert_allclose(likelihood.error(output, -0.1), np.log(4), rtol=1e-6)


def test_rewards_beyond_the_two_values_count_as_the_nearer_one():
    """So that no output makes the error negative."""
    likelihood = TwoValued(-0.1, 1.0)
    for output in jnp.array([-30.0, 0.5, 30.0]):
        for beyond, nearer in ((7.0, 1.0), (-3.0, -0.1)):
            error = likelihood.error(output, beyond)
            assert error == likelihood.error(output, nearer)
            assert error >= 0


def test_squared_error_counts_in_units_of_its_scale():
    likelihood = SquaredError(scale=0.5)
    np.testing.assert_allclose(likelihood.error(jnp.array(1.0), 2.5), 9.0)
    assert likelihood.mean(1.25) == 1.25


def test_life_holds_the_steps_of_its_trial_in_order():
    data = trial()
    read = lives(ENV, data)
    shapes = jax.tree.map(lambda leaf: (2, *leaf.shape), life_shapes(ENV, LENGTH))
    assert jax.tree.map(jnp.shape, read) == shapes
    for stage, step, life in np.ndindex(2, 3, 2):
        place = life, 3 * stage + step
        index = stage, step, life
        np.testing.assert_array_equal(read.observation[place], data.observation[index])
        following = data.next_observation[index]
        np.testing.assert_array_equal(read.next_observation[place], following)
        assert read.reward[place] == data.reward[index]
        one_hot = np.eye(5)[data.action[index]]
        np.testing.assert_array_equal(read.action[place], one_hot)


def cut_short(data):
    """The trial, its first episode over after two of three steps."""
    return data._replace(terminated=data.terminated.at[0, 1].set(True))


def test_steps_of_a_life_count_until_the_end_of_their_episode():
    read = lives(ENV, cut_short(trial()))
    np.testing.assert_array_equal(read.counts, 2 * [[1, 1, 0, 1, 1, 1]])
    assert np.all(lives(ENV, trial()).counts)


@pytest.mark.parametrize("step, changes", [(1, True), (2, False), (3, True)])
def test_steps_after_the_end_of_an_episode_are_not_decoded(step, changes):
    autoencoder, params = built()
    life = jax.tree.map(lambda leaf: leaf[0], lives(ENV, cut_short(trial())))
    other = life._replace(reward=life.reward.at[step].set(0.9 - life.reward[step]))
    (loss, _), (other_loss, _) = (
        autoencoder.loss(jax.random.key(0), params, each) for each in (life, other)
    )
    assert (loss != other_loss) == changes


def test_by_step_undoes_by_life():
    leaf = jnp.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    assert by_life(leaf).shape == (4, 6, 5)
    np.testing.assert_array_equal(by_step(by_life(leaf), 2), leaf)


def test_belief_starts_at_the_prior():
    autoencoder, params = built()
    beliefs = autoencoder.beliefs(params, first_life())
    np.testing.assert_array_equal(beliefs.mean[0], np.zeros(2))
    np.testing.assert_array_equal(beliefs.variance[0], np.ones(2))
    assert np.all(beliefs.mean[1] != 0)


# of step 4, the last but one, of both lives
CHANGED = {
    "reward": lambda reward: reward.at[1, 1].add(5.0),
    "action": lambda action: action.at[1, 1].set((action[1, 1] + 1) % 5),
    "next_observation": lambda following: following.at[1, 1].add(1.0),
}


@pytest.mark.parametrize("name", list(CHANGED))
def test_belief_of_a_step_knows_nothing_of_what_the_step_leads_to(name):
    """The next one has read the action and the reward; observations are read there."""
    autoencoder, params = built()
    data = trial()
    changed = data._replace(**{name: CHANGED[name](getattr(data, name))})
    before, after = (
        trial_beliefs(ENV, autoencoder, params, each).mean.reshape(LENGTH, -1)
        for each in (data, changed)
    )
    np.testing.assert_array_equal(before[:5], after[:5])
    assert np.all((before[5] != after[5]) == (name != "next_observation"))


def test_unrolled_beliefs_equal_those_of_stepping():
    autoencoder, params = built()
    life = first_life()
    memory, stepped = autoencoder.initial_memory, []
    for index, inputs in enumerate(life.inputs):
        belief, memory = autoencoder.step(params, inputs, index == 0, memory)
        stepped.append(belief)
    unrolled = autoencoder.beliefs(params, life)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *stepped)
    for one, other in zip(unrolled, stacked, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_undecided_decoder_pays_log_two_for_each_step():
    autoencoder, params = built()
    params = silent(params, "decoder")
    _, parts = autoencoder.loss(jax.random.key(0), params, first_life())
    np.testing.assert_allclose(parts["reconstruction"], LENGTH * np.log(2), rtol=1e-6)


def test_belief_that_changes_once_pays_its_divergence_once():
    """With a silent head, the variance is softplus(0) = log 2 from step 1 on."""
    autoencoder, params = built()
    params = silent(params, "encoder", "head")
    _, parts = autoencoder.loss(jax.random.key(0), params, first_life())
    variance = np.log(2) + 1e-4
    once = 2 * 0.5 * (variance - 1 - np.log(variance))
    np.testing.assert_allclose(parts["belief_change"], once / LENGTH, rtol=1e-4)


@pytest.mark.parametrize("decoder", [DECODER, CHANGES], ids=["rewards", "changes"])
def test_loss_is_minus_the_mean_of_the_bounds_at_each_step(decoder):
    autoencoder, params = built(decoder)
    life, key = first_life(), jax.random.key(3)
    beliefs = autoencoder.beliefs(params, life)
    drawn = beliefs.sample(key)
    previous = standard_belief(2)
    bounds = []
    for step in range(LENGTH):
        belief = Belief(beliefs.mean[step], beliefs.variance[step])
        errors = autoencoder.errors(params, drawn[step : step + 1], life)
        bounds.append(-jnp.sum(errors) - belief.kl(previous))
        previous = belief
    loss, _ = autoencoder.loss(key, params, life)
    np.testing.assert_allclose(loss, -np.mean(bounds), rtol=1e-5)


def test_errors_of_transitions_are_squared_distances_beside_those_of_rewards():
    decoder = trial_decoder(ENV, CHANGES, 2)
    params = silent(decoder.init(jax.random.key(0)))
    life = first_life()
    errors = decoder.errors(params, jnp.ones((1, 2)), life)[0]
    moved = np.sum((life.next_observation - life.observation) ** 2, axis=-1)
    np.testing.assert_allclose(errors, life.reward**2 + moved, rtol=1e-5)


def test_reward_of_the_next_observation_ignores_where_one_came_from():
    inputs = jnp.ones(2), jnp.zeros(2), jnp.int32(1), jnp.array([2.0, 1.0])
    elsewhere = *inputs[:1], jnp.ones(2), jnp.int32(3), inputs[3]
    for reward_of, same in (("next_observation", True), ("transition", False)):
        decoder = DecoderConfig((8,), num_features=4, reward_of=reward_of)
        autoencoder, params = built(decoder)
        here, there = (
            autoencoder.reward(params, *each) for each in (inputs, elsewhere)
        )
        assert (here == there) == same


def chances(decoder, embedding=(0.3, -1.0), scale=1.0):
    """That an arrival pays, for each cell of the grid; of a decoder with seed 0."""
    autoencoder, params = built(decoder)
    params = jax.tree.map(lambda leaf: scale * leaf, params)
    reward = lambda cell: autoencoder.reward(
        params, jnp.array(embedding), jnp.zeros(2), jnp.int32(1), cell
    )
    return (jax.vmap(reward)(ENV.all_observations()) + 0.1) / 1.1


def test_chances_that_each_observation_is_the_one_that_pays_are_a_softmax():
    log_odds = jax.scipy.special.logit(chances(EACH_MAY_PAY, scale=2.0))
    one_pays = chances(ONE_PAYS, scale=2.0)
    np.testing.assert_allclose(one_pays, jax.nn.softmax(log_odds), rtol=1e-4)
    assert np.ptp(one_pays) > 0.1


def test_one_observation_pays_or_not_by_its_chance():
    autoencoder, params = built(ONE_PAYS)
    embedding, life = jnp.array([0.3, -1.0]), first_life()
    chance = chances(ONE_PAYS)[jax.vmap(ENV.number)(life.next_observation)]
    expected = -np.log(np.where(life.reward > 0, chance, 1 - chance))
    errors = autoencoder.errors(params, embedding[None], life)[0]
    np.testing.assert_allclose(errors, expected, rtol=1e-4)


@pytest.mark.parametrize("paid", [-0.1, 1.0])
def test_decoder_that_is_sure_and_wrong_has_a_finite_gradient_to_learn_from(paid):
    """Its largest chance is 1 to all digits, and the least is 0."""
    autoencoder, params = built(ONE_PAYS)
    params = jax.tree.map(lambda leaf: 20 * leaf, params)
    chance = chances(ONE_PAYS, scale=20.0)
    assert (chance.max(), chance.min()) == (pytest.approx(1.0, abs=1e-7), 0.0)
    wrong = jnp.argmax(chance) if paid < 0 else jnp.argmin(chance)
    cell = jnp.broadcast_to(ENV.all_observations()[wrong], (LENGTH, 2))
    life = first_life()._replace(next_observation=cell, reward=jnp.full(LENGTH, paid))
    embeddings = jnp.array([[0.3, -1.0]])
    total = lambda params: jnp.sum(autoencoder.errors(params, embeddings, life))
    loss, gradient = jax.value_and_grad(total)(params)
    assert 16 * LENGTH < loss < np.inf
    gradient = np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(gradient)])
    assert np.isfinite(gradient).all() and np.any(gradient != 0)


def test_one_observation_needs_an_environment_that_lists_them():
    env, _ = envs.make("point", horizon=4)
    with pytest.raises(ValueError, match="that list all their observations"):
        trial_decoder(env, ONE_PAYS, 2)


def test_one_observation_is_for_numbered_tasks_too():
    env = WithNumberedTasks(ENV, 5)
    decoder = trial_decoder(env, ONE_PAYS, 2)
    params = decoder.init(jax.random.key(0))
    assert decoder.errors(params, jnp.ones((1, 2)), first_life()).shape == (1, LENGTH)


def test_expected_reward_is_that_which_the_errors_are_measured_from():
    autoencoder, params = built(CHANGES)
    life, embedding = first_life(), jnp.array([0.3, -1.0])
    expected = jnp.stack(
        [
            autoencoder.reward(params, embedding, observation, jnp.argmax(action), then)
            for observation, action, then in zip(
                life.observation, life.action, life.next_observation, strict=True
            )
        ]
    )
    perfect = life._replace(reward=expected)
    worse = life._replace(reward=expected + 2.0)
    both = (
        autoencoder.errors(params, embedding[None], each) for each in (perfect, worse)
    )
    least, more = both
    np.testing.assert_allclose(more - least, np.full((1, LENGTH), 4.0), rtol=1e-4)


def test_surprise_of_a_step_is_under_the_belief_that_follows_it():
    autoencoder, params = built()
    data, key = trial(), jax.random.key(5)
    beliefs = trial_beliefs(ENV, autoencoder, params, data)
    surprise = trial_surprise(ENV, autoencoder, params, (key, data, beliefs))
    drawn = by_life(beliefs.sample(key))
    errors = jax.vmap(lambda *life: autoencoder.errors(params, *life))
    of_pairs = errors(drawn, lives(ENV, data))  # [E, L embeddings, L steps]
    expected = [
        [of_pairs[life, min(step + 1, LENGTH - 1), step] for step in range(LENGTH)]
        for life in range(2)
    ]
    np.testing.assert_allclose(by_life(surprise), expected, rtol=1e-5)


def test_life_is_a_row_of_vectors_for_continuous_actions_too():
    env, _ = envs.make("point", horizon=4)
    shapes = life_shapes(env, 8)
    assert isinstance(shapes, Life)
    assert shapes.action.shape == (8, 2)
    assert shapes.inputs.shape == (8, 2 + 2 + 2 + 3)


@pytest.mark.parametrize(
    "config, options, message",
    [
        (AutoencoderConfig, {"embedding_size": 0}, "embedding_size must be above 0"),
        (AutoencoderConfig, {"kl_weight": 0.0}, "kl_weight must be above 0"),
        (DecoderConfig, {"num_features": 0}, "num_features must be above 0"),
        (
            DecoderConfig,
            {"reward_of": "next_obs"},
            "reward_of must be of next_observation, one_observation, transition, not ",
        ),
        (
            DecoderConfig,
            {"reward_of": "one_observation"},
            "set likelihood to TwoValued",
        ),
        (TwoValued, {"low": 1.0, "high": 0.0}, "high must be above low"),
        (SquaredError, {"scale": 0.0}, "scale must be above 0"),
    ],
)
def test_value_out_of_range_is_refused(config, options, message):
    with pytest.raises(ValueError, match=message):
        config(**options)
