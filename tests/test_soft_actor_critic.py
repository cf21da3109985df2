"""Soft actor-critic: targets by hand, and which loss moves which parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments import spaces

from metarl_jax.conditioning import Concatenation, Film, Hypernetwork
from metarl_jax.distributions import TanhGaussian
from metarl_jax.networks import NetworkConfig
from metarl_jax.soft_actor_critic import (
    ActorCritic,
    SacConstants,
    SacParams,
    Transition,
    actor_critic,
    check_actions,
    sac_losses,
    soft_targets,
)
from metarl_jax.types import Policy

EMBEDDING = jnp.array([0.5])
CONSTANTS = SacConstants(discount=0.9, reward_scale=2.0, target_entropy=-1.0)
# three steps: one goes on, one is cut by the horizon (and says nothing of it: what
# follows it counts), one terminates
BATCH = Transition(
    observation=jnp.zeros((3, 1)),
    action=jnp.zeros((3, 1)),
    reward=jnp.array([1.0, 2.0, 3.0]),
    terminated=jnp.array([False, False, True]),
    next_observation=jnp.array([[1.0], [2.0], [3.0]]),
)


def linear_networks():
    """A policy that acts near tanh(policy), and critics that are linear.

    Critic i says weight[i] * (observation + action + embedding).
    """

    def act(params, observation, memory):
        mean = params["shared"] + 0.0 * (observation + params["context"])
        return TanhGaussian(mean, jnp.full(1, jnp.log(1e-4))), memory

    def values(weights, observation, action, embedding):
        return weights * (observation + action + embedding)[0]

    return ActorCritic(Policy(lambda key: None, act), lambda key: jnp.ones(2), values)


NETWORKS = linear_networks()
WEIGHTS, TARGET_WEIGHTS = jnp.array([1.0, 3.0]), jnp.array([2.0, 4.0])
COLD = SacParams(jnp.zeros(1), WEIGHTS, jnp.array(-jnp.inf))  # temperature 0


def targets(params, target_critics=TARGET_WEIGHTS):
    key = jax.random.key(0)
    return soft_targets(
        key, NETWORKS, params, target_critics, BATCH, EMBEDDING, CONSTANTS
    )


def losses(params, embedding=EMBEDDING, target_critics=TARGET_WEIGHTS):
    key = jax.random.key(0)
    return sac_losses(
        key, NETWORKS, params, target_critics, BATCH, embedding, CONSTANTS
    )[0]


def test_target_bootstraps_from_the_lower_critic_but_not_after_termination():
    """Both values are positive, so the critic of weight 2 is the lower one."""
    expected = [2 + 0.9 * 2 * 1.5, 4 + 0.9 * 2 * 2.5, 6]
    np.testing.assert_allclose(targets(COLD), expected, atol=1e-3)


def test_target_has_a_bonus_for_entropy():
    warm = COLD._replace(log_temperature=jnp.log(0.5))
    # minus the log-density of a Gaussian of deviation 1e-4 near its mean
    bonus = np.asarray(targets(warm) - targets(COLD)) / (0.9 * 0.5)
    assert bonus[2] == 0
    expected = -np.log(1e4 / np.sqrt(2 * np.pi))
    np.testing.assert_allclose(bonus[:2], expected, atol=3)


def test_targets_stop_the_gradient():
    parts = jax.jacobian(targets, argnums=(0, 1))(COLD, TARGET_WEIGHTS)
    assert all(np.all(leaf == 0) for leaf in jax.tree.leaves(parts))
    # the losses pass none on to the target critics either
    total = lambda weights: losses(COLD, target_critics=weights).total
    np.testing.assert_array_equal(jax.grad(total)(TARGET_WEIGHTS), [0, 0])


def test_critic_loss_is_the_squared_error_of_both_critics():
    """At observation and action 0 critic i says weight[i] * 0.5."""
    error = np.array([[0.5, 1.5]]) - np.asarray(targets(COLD))[:, None]
    expected = np.mean(np.sum(error**2, axis=1))
    np.testing.assert_allclose(losses(COLD).critic, expected, rtol=1e-3)


def test_policy_loss_is_minus_the_lower_value_of_its_action():
    params = COLD._replace(policy=jnp.array([0.3]))
    expected = -1 * (np.tanh(0.3) + 0.5)
    np.testing.assert_allclose(losses(params).policy, expected, atol=1e-3)


@pytest.mark.parametrize(
    "loss, moved",
    [("critic", "critics"), ("policy", "policy"), ("temperature", "log_temperature")],
)
def test_each_loss_moves_its_own_parameters_alone(loss, moved):
    params = COLD._replace(log_temperature=jnp.log(0.5))
    gradient = jax.grad(lambda params: getattr(losses(params), loss))(params)
    for name, part in gradient._asdict().items():
        assert np.any(part != 0) == (name == moved)


@pytest.mark.parametrize("loss", ["critic", "policy", "temperature"])
def test_critics_alone_tell_the_encoder_what_to_learn(loss):
    params = COLD._replace(log_temperature=jnp.log(0.5))
    of_embedding = lambda embedding: getattr(losses(params, embedding), loss)
    assert np.any(jax.grad(of_embedding)(EMBEDDING) != 0) == (loss == "critic")


@pytest.mark.parametrize("target, sign", [(-20.0, 1), (20.0, -1)])
def test_temperature_falls_where_entropy_is_above_its_target(target, sign):
    """Descent lowers a temperature whose gradient is positive. Entropy is about -8."""
    constants = CONSTANTS._replace(target_entropy=target)

    def loss(log_temperature):
        params = COLD._replace(log_temperature=log_temperature)
        return sac_losses(
            jax.random.key(0),
            NETWORKS,
            params,
            TARGET_WEIGHTS,
            BATCH,
            EMBEDDING,
            constants,
        )[0].temperature

    slope = jax.grad(loss)(jnp.log(0.5))
    assert np.sign(slope) == sign
    np.testing.assert_allclose(slope, -8 - target, atol=3)


class Box:
    """Spaces of an environment, which is all that networks are made from."""

    observation_space = spaces.Box(-jnp.inf, jnp.inf, (3,))
    action_space = spaces.Box(-1.0, 1.0, (2,))


@pytest.mark.parametrize(
    "conditioning", [Concatenation(), Film(), Hypernetwork()], ids=type
)
def test_networks_read_the_embedding(conditioning):
    policy = NetworkConfig((4,), state_dependent_std=True, squash=True)
    networks = actor_critic(Box(), 2, conditioning, policy, NetworkConfig((4,)))
    critics = networks.init_critics(jax.random.key(0))
    params = networks.policy.init(jax.random.key(1))
    observation, action = jnp.ones(3), jnp.ones(2)
    value = lambda z: networks.values(critics, observation, action, z)
    slopes = jax.jacobian(value)(jnp.zeros(2))
    assert slopes.shape == (2, 2)
    assert np.all(slopes != 0)
    assert not np.allclose(slopes[0], slopes[1])  # the critics differ
    told = lambda z: params | {"context": z}
    mean = lambda z: networks.policy.apply(told(z), observation, ())[0].mean
    assert np.all(jax.jacobian(mean)(jnp.zeros(2)) != 0)


@pytest.mark.parametrize(
    "space", [spaces.Discrete(3), spaces.Box(-2.0, 2.0, (1,)), spaces.Box(0, 1, (1,))]
)
def test_actions_that_tanh_does_not_give_are_refused(space):
    with pytest.raises(ValueError, match="choose an environment with such actions"):
        check_actions(space)
