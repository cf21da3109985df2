import jax
import jax.numpy as jnp
import numpy as np

from envs import tabular_mdp
from metarl_jax.exact import optimal_action_values

DRAWS = 5000


def test_defaults_are_the_published_ones():
    env, _ = tabular_mdp.make()
    assert env.observation_space.shape == (10,)
    assert env.action_space.n == 5
    assert env.horizon == 10
    assert env.reward_noise == 1.0


def test_tasks_follow_the_published_distribution():
    _, tasks = tabular_mdp.make(num_states=4, num_actions=3)
    keys = jax.random.split(jax.random.key(0), DRAWS)
    task = jax.jit(jax.vmap(tasks.train))(keys)
    np.testing.assert_allclose(np.sum(task.transition, axis=-1), 1, rtol=1e-5)
    # one entry of Dirichlet(1, 1, 1, 1) has mean 1/4 and variance 3/80
    np.testing.assert_allclose(np.mean(task.transition, axis=0), 1 / 4, atol=0.012)
    np.testing.assert_allclose(np.var(task.transition, axis=0), 3 / 80, atol=0.004)
    np.testing.assert_allclose(np.mean(task.reward, axis=0), 1, atol=0.06)
    np.testing.assert_allclose(np.std(task.reward, axis=0), 1, atol=0.05)


def steps(reward_noise):
    """Draws of the step from state 1 by action 2 of a random task."""
    env, tasks = tabular_mdp.make(4, 3, horizon=2, reward_noise=reward_noise)
    task = tasks.train(jax.random.key(1))
    _, state = env.reset(jax.random.key(1), task)
    state = state._replace(index=jnp.array(1))
    step = lambda key: env.step(key, state, jnp.array(2), task)
    keys = jax.random.split(jax.random.key(2), DRAWS)
    return task, jax.jit(jax.vmap(step))(keys)


def test_next_states_and_rewards_follow_the_task():
    task, (observation, _, reward, *_) = steps(reward_noise=1.0)
    probability = np.mean(observation, axis=0)
    np.testing.assert_allclose(probability, task.transition[1, 2], atol=0.03)
    np.testing.assert_allclose(np.mean(reward), task.reward[1, 2], atol=0.06)
    np.testing.assert_allclose(np.std(reward), 1, atol=0.05)


def test_rewards_without_noise_are_the_mean_rewards():
    task, (_, _, reward, *_) = steps(reward_noise=0.0)
    np.testing.assert_array_equal(reward, np.full(DRAWS, task.reward[1, 2]))


def test_regret_is_what_an_action_loses_against_an_optimal_policy():
    env, tasks = tabular_mdp.make(4, 3, horizon=3)
    task = tasks.train(jax.random.key(0))
    values = optimal_action_values(task, env.horizon)
    assert np.ptp(values, axis=(0, 2)).min() > 0.1

    def regret(time, index, action):
        _, state = env.reset(jax.random.key(1), task)
        state = state._replace(index=index, time=time)
        return env.step(jax.random.key(2), state, action, task)[-1]["regret"]

    places = jnp.stack(jnp.indices(values.shape), axis=-1).reshape(-1, 3)
    regrets = jax.jit(jax.vmap(lambda place: regret(*place)))(places)
    expected = values.max(axis=-1, keepdims=True) - values
    np.testing.assert_allclose(regrets.reshape(values.shape), expected, atol=1e-5)


def test_episode_starts_in_state_zero_and_ends_only_at_the_horizon():
    env, tasks = tabular_mdp.make(4, 3, horizon=2)
    task = tasks.train(jax.random.key(0))
    observation, state = env.reset(jax.random.key(1), task)
    np.testing.assert_array_equal(observation, [1, 0, 0, 0])
    for last in (False, True):
        outcome = env.step(jax.random.key(2), state, jnp.array(0), task)
        _, state, _, terminated, truncated, _ = outcome
        assert not terminated and truncated == last
