"""GridNavi by hand, and the Bayes-optimal search against all searches there are."""

import itertools
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from metarl_jax.classical.agent import play
from metarl_jax.classical.goal_beliefs import goal_beliefs
from metarl_jax.classical.hidden_goal import HiddenGoal, known_goal_returns
from metarl_jax.classical.search_agent import search_agent
from metarl_jax.classical.search_values import optimal_search, path_returns

STAY, UP, RIGHT, DOWN, LEFT = range(5)


def hidden_goal(env, tasks, num_episodes):
    return HiddenGoal(
        next_state=np.asarray(env.next_number()),
        first_state=0,
        goals=np.asarray(jax.vmap(env.number)(tasks.fixed["goals"]())),
        horizon=env.horizon,
        num_episodes=num_episodes,
        goal_reward=env.goal_reward,
        other_reward=env.other_reward,
    )


@cache
def published():
    env, tasks = envs.make("grid_navi")
    problem = hidden_goal(env, tasks, num_episodes=4)
    return env, tasks, problem, optimal_search(problem)


def walk(actions, goal):
    """Observations and rewards of the steps."""
    env, _ = envs.make("grid_navi")
    _, state = env.reset(jax.random.key(0), jnp.array(goal))
    observations, rewards = [], []
    for action in actions:
        observation, state, reward, *_ = env.step(
            jax.random.key(0), state, jnp.int32(action), jnp.array(goal)
        )
        observations.append(observation.tolist())
        rewards.append(float(reward))
    return observations, rewards


def test_actions_stay_or_move_by_one_cell_within_the_grid():
    observations, _ = walk([RIGHT, UP, UP, LEFT, LEFT, DOWN, STAY], goal=(4, 4))
    assert observations == [[1, 0], [1, 1], [1, 2], [0, 2], [0, 2], [0, 1], [0, 1]]


def test_every_step_that_ends_in_the_goal_pays_one_and_others_cost_a_tenth():
    _, rewards = walk([UP, UP, STAY, UP, DOWN], goal=(0, 2))
    np.testing.assert_allclose(rewards, [-0.1, 1, 1, -0.1, 1], rtol=1e-6)


def test_goals_are_uniform_over_the_cells_that_are_not_next_to_the_start():
    _, tasks = envs.make("grid_navi")
    keys = jax.random.split(jax.random.key(0), 21_000)
    for sample in (tasks.train, tasks.test):
        drawn = np.asarray(jax.jit(jax.vmap(sample))(keys))
        cells, counts = np.unique(drawn, axis=0, return_counts=True)
        assert cells.tolist() == [
            [x, y] for x in range(5) for y in range(5) if x > 1 or y > 1
        ]
        assert np.abs(counts - 1000).max() < 5 * 1000**0.5  # 5 standard deviations
    np.testing.assert_array_equal(tasks.fixed["goals"](), cells)


def test_published_trial_has_a_5_by_5_grid_and_15_steps():
    env, _ = envs.make("grid_navi")
    assert (env.size, env.horizon, env.action_space.n) == (5, 15, 5)


def test_numbers_of_next_cells_are_those_that_steps_lead_to():
    env, _ = envs.make("grid_navi", size=3)
    start = env.reset(jax.random.key(0), jnp.zeros(2))[1]

    def following(cell, action):
        state = start._replace(position=cell)
        return env.number(env.step(jax.random.key(0), state, action, jnp.zeros(2))[0])

    cells = jnp.array(list(itertools.product(range(3), repeat=2)))
    assert jax.vmap(env.number)(cells).tolist() == list(range(9))
    steps = jax.vmap(jax.vmap(following, (None, 0)), (0, None))(cells, jnp.arange(5))
    np.testing.assert_array_equal(env.next_number(), steps)
    np.testing.assert_array_equal(env.all_observations(), cells)
    observe = lambda cell, action: env.step(
        jax.random.key(0), start._replace(position=cell), action, jnp.zeros(2)
    )[0]
    seen = jax.vmap(jax.vmap(observe, (None, 0)), (0, None))(cells, jnp.arange(5))
    listed = {tuple(row) for row in np.asarray(env.all_observations())}
    assert {tuple(row) for row in np.asarray(seen).reshape(-1, 2)} == listed


def test_known_goal_pays_the_published_optimum():
    returns = known_goal_returns(published()[2])
    steps = np.array([x + y for x in range(5) for y in range(5) if x > 1 or y > 1])
    np.testing.assert_allclose(returns, 16.1 - 1.1 * steps)
    np.testing.assert_allclose(returns.mean(), 11.07, atol=0.005)


def test_goal_out_of_reach_of_an_episode_costs_all_of_it():
    env, tasks = envs.make("grid_navi", horizon=3)
    returns = known_goal_returns(hidden_goal(env, tasks, 1))
    assert returns[-1] == pytest.approx(-0.3)  # the far corner is 8 steps away


def test_optimal_search_visits_a_new_cell_in_each_step_and_the_rest_on_a_shortest_way():
    """14 goals can be visited in steps 2 to 15, and 7 lie on a way along two sides.

    (14 * 16.1 - 1.1 * (2 + ... + 15) - 7 * 1.5) / 21 = 4 is thus a bound for the first
    episode, and the return with a known goal is one for each later episode.
    """
    *_, search = published()
    curve = search.returns.mean(axis=0)
    np.testing.assert_allclose(curve, [4.0] + 3 * [232.5 / 21], rtol=1e-9)


def test_optimal_search_returns_what_playing_it_returns():
    env, tasks, problem, search = published()
    agent = search_agent(problem, search.actions, env.number)
    episode = lambda goal: play(jax.random.key(0), env, agent, goal, 4).sum(axis=-1)
    played = jax.jit(jax.vmap(episode))(tasks.fixed["goals"]())
    np.testing.assert_allclose(played, search.returns, rtol=1e-5)


@pytest.mark.parametrize(("horizon", "num_episodes"), [(6, 1), (4, 2), (3, 2), (2, 3)])
def test_optimal_search_equals_the_best_of_all_paths(horizon, num_episodes):
    env, tasks = envs.make("grid_navi", size=3, horizon=horizon)
    problem = hidden_goal(env, tasks, num_episodes)
    search = optimal_search(problem)
    expected = max(
        total_of_path(path, problem)
        for path in itertools.product(range(1, 5), repeat=horizon * num_episodes)
    )
    np.testing.assert_allclose(search.returns.sum(axis=1).mean(), expected, rtol=1e-9)


def total_of_path(path, problem):
    """The mean return over goals, summed step by step."""
    visits = []
    for step, action in enumerate(path):
        state = visits[-1] if step % problem.horizon else 0
        visits.append(TABLE[state][action])
    return np.mean([total(visits, goal, problem.horizon) for goal in GOALS])


def total(visits, goal, horizon):
    """The return of a trial along `visits` until `goal` is met, and then to it."""
    length = len(visits)
    found = visits.index(goal) if goal in visits else length
    rewards = [-0.1] * found
    rewards += [1.0] * (-found % horizon)
    while len(rewards) < length:
        x, y = divmod(goal, 3)
        rewards += ([-0.1] * (x + y - 1) + [1.0] * horizon)[:horizon]
    return sum(rewards)


TABLE = [
    [3 * min(max(x + a, 0), 2) + min(max(y + b, 0), 2) for a, b in
     ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))]
    for x in range(3)
    for y in range(3)
]  # fmt: skip
GOALS = (2, 5, 6, 7, 8)


def test_search_that_never_finds_a_goal_pays_nothing_for_it():
    _, _, problem, _ = published()
    returns = path_returns(problem, np.zeros(60, int))
    np.testing.assert_allclose(returns, np.full((21, 4), -1.5))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"goal_reward": -0.1}, "goal_reward must be above other_reward"),
        ({"next_state": np.array([[1], [0]])}, "an action that stays there"),
        ({"goals": np.zeros(63, int)}, "63 goals among 2 states are too many"),
    ],
)
def test_searches_that_are_not_covered_are_refused(changed, message):
    problem = HiddenGoal(np.array([[0, 1], [1, 0]]), 0, np.array([1]), 2, 1, 1.0, 0.0)
    assert optimal_search(problem).returns.tolist() == [[2.0]]
    with pytest.raises(ValueError, match=message):
        optimal_search(problem._replace(**changed))


def test_beliefs_exclude_what_was_visited_until_the_goal_is_found():
    prior = jnp.array([0.0, 0.5, 0.25, 0.25])
    visited, found = jnp.array([0, 1, 1, 3, 0]), jnp.array([False] * 3 + [True, False])
    expected = [
        [0, 0.5, 0.25, 0.25],
        [0, 0, 0.5, 0.5],
        [0, 0, 0.5, 0.5],
        [0, 0, 0, 1],
        [0, 0, 0, 1],
    ]
    np.testing.assert_allclose(goal_beliefs(prior, visited, found), expected)
