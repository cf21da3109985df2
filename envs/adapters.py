"""Environments of other libraries, as environments whose task is an argument.

Both adapters count time themselves and use neither library's own time limit nor its
automatic reset, which draws a new task (gymnax) or returns to one stored state (brax).
"""

import contextlib
import functools
import importlib
import io
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from gymnax.environments import spaces

from envs.side_by_side import side_by_side

BACKENDS = ("spring", "positional", "generalized", "mjx")  # brax's physics
COMPILE_FAST = {"xla_backend_optimization_level": 0}  # for what runs once
_DIVERGED = 1e4  # m, m/s, rad or rad/s; no robot gets there by moving


class TimedState(NamedTuple):
    """What an adapted environment carries from step to step."""

    simulator: Any  # the library's own state
    time: jax.Array  # []; steps since the reset


def from_gymnax(
    gymnax_env: Any,
    params_from_task: Callable[[Any], Any],
    horizon: int,
    action_in_task: Callable[[jax.Array, Any], jax.Array] | None = None,
) -> "_GymnaxEnvironment":
    """Adapts a gymnax environment (>= 1.0).

    Args:
      gymnax_env: a `gymnax.environments.environment.Environment` that does not draw
        its task in `reset_env`.
      params_from_task: `task -> EnvParams`; recomputes what gymnax derives from other
        fields, such as CartPole's `total_mass`.
      horizon: T, the steps after which an episode is truncated.
      action_in_task: `(action, task) -> action of gymnax`, where a continuous action
        has been clipped to [-1, 1]; by default it reaches over gymnax's range.

    Returns:
      An environment. Continuous actions are in [-1, 1]. The observation space is that
      of the default parameters. Nothing of gymnax's `info` is kept.
    """
    return _GymnaxEnvironment(gymnax_env, params_from_task, horizon, action_in_task)


def from_brax(
    brax_env: Any,
    *,
    reward: Callable[[Any, jax.Array, dict[str, jax.Array]], jax.Array],
    diverged_reward: Callable[[Any, jax.Array], jax.Array],
    horizon: int,
    metrics: Sequence[str] = (),
    vary: Callable[[Any, Any], Any] | None = None,
    observe: Callable[[jax.Array], jax.Array] | None = None,
    rows_at_once: int = 1,
) -> "_BraxEnvironment":
    """Adapts a brax environment (>= 0.14), whose own reward is not used.

    A simulation that diverges (a value that is not finite, or a generalized coordinate
    or velocity beyond 1e4) ends the episode: the step is terminated, the observation
    and state stay those before it, the reward is `diverged_reward`, and `diverged` in
    `info` is 1.0, which is 0.0 in all other steps. Numbers in an action that are none
    count as 0.

    Args:
      brax_env: a `brax.envs.Env` without wrappers, e.g. of `load_brax`.
      reward: `(task, action, metrics) -> scalar`, from the clipped action and brax's
        metrics of the step.
      diverged_reward: `(task, steps_left) -> scalar`; no more than the rest of the
        episode would have brought an agent that does nothing, or to diverge would pay.
      horizon: T, the steps after which an episode is truncated.
      metrics: the names of brax's metrics to report in `info`.
      vary: `(brax_env, task) -> brax_env`, a copy whose physics or reset are those of
        the task; an episode starts in a state of its own `reset`. None: the task is in
        the reward alone, and an episode starts in one of the `starting_states`.
      observe: what of brax's observation the agent observes; by default all.
      rows_at_once: how many rows of rollouts it needs at once to be fast on a CPU. If
        it is more than one, they are simulated `side_by_side`, on all platforms.

    Returns:
      An environment with actions in [-1, 1], which has `control_step`, the seconds of
      a step, `system(task)`, the `brax.System` that is simulated, and `rows_at_once`.
    """
    return _BraxEnvironment(
        brax_env,
        reward=reward,
        diverged_reward=diverged_reward,
        horizon=horizon,
        metrics=metrics,
        vary=vary,
        observe=observe or (lambda observation: observation),
        rows_at_once=rows_at_once,
    )


@functools.cache
def starting_states(brax_env: Any, number: int = 256) -> Any:
    """States to start episodes in, always the same ones: leaves [number, ...].

    A rollout needs a state to go on from after every step, in case that an episode has
    ended: to look one up is faster than to compute it, and compiles faster. They are
    drawn in the first call, also where that is in a function that is being traced.

    Args:
      brax_env: whose `reset` draws them.
      number: how many.
    """
    reset = jax.jit(jax.vmap(brax_env.reset), compiler_options=COMPILE_FAST)
    with _without_warnings(), jax.ensure_compile_time_eval():
        return jax.device_get(reset(jax.random.split(jax.random.key(0), number)))


@functools.cache
def load_brax(module: str, name: str, **options: Any) -> Any:
    """Makes a brax environment without the messages of brax and mujoco.

    The same one for equal arguments: nobody may change it.

    Args:
      module: of brax's environments, e.g. `half_cheetah`.
      name: of the class in that module.
      **options: of the class.

    Raises:
      ImportError: if brax is not installed.
    """
    with _without_warnings(), contextlib.redirect_stdout(io.StringIO()):
        try:
            environments = importlib.import_module(f"brax.envs.{module}")
            import mujoco  # noqa: F401
        except ImportError as error:
            raise ImportError(
                f"{name} needs brax: pip install brax ({error})"
            ) from error
        with quiet_mujoco():
            return getattr(environments, name)(**options)


@contextlib.contextmanager
def quiet_mujoco():
    """MuJoCo writes no warnings, neither to the terminal nor to MUJOCO_LOG.TXT."""
    import mujoco

    handler = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(lambda message: None)
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(handler)


@functools.cache
def _step_traced_once(brax_env):
    """Its step: a program steps in many places, and tracing a simulator takes long."""
    return jax.jit(brax_env.step, inline=True)


@functools.lru_cache(maxsize=16)
def _step_side_by_side(env):
    return side_by_side(jax.jit(env._step))


class _GymnaxEnvironment:
    def __init__(self, gymnax_env, params_from_task, horizon, action_in_task):
        default = gymnax_env.default_params
        self.observation_space = gymnax_env.observation_space(default)
        self.action_space = gymnax_env.action_space(default)
        if isinstance(self.action_space, spaces.Box):
            self.action_space = spaces.Box(-1.0, 1.0, self.action_space.shape)
        self.horizon = horizon
        self._env = gymnax_env
        self._params = params_from_task
        self._action = action_in_task or self._over_gymnax_range

    def reset(self, key, task):
        observation, state = self._env.reset_env(key, self._params(task))
        # gymnax starts counters as Python numbers: fix the types that step keeps
        state = jax.tree.map(
            lambda leaf: jnp.asarray(leaf, jnp.result_type(leaf)), state
        )
        return self._observed(observation), TimedState(state, jnp.int32(0))

    def step(self, key, state, action, task):
        if isinstance(self.action_space, spaces.Box):
            action = jnp.clip(action, -1.0, 1.0)
        observation, simulator, reward, terminated, _ = self._env.step_env(
            key, state.simulator, self._action(action, task), self._params(task)
        )
        simulator = jax.tree.map(_with_type_of, simulator, state.simulator)
        state = TimedState(simulator, state.time + 1)
        truncated = state.time >= self.horizon
        reward = jnp.asarray(reward, float)
        return self._observed(observation), state, reward, terminated, truncated, {}

    def _observed(self, observation):
        return jnp.asarray(observation, self.observation_space.dtype)

    def _over_gymnax_range(self, action, task):
        if not isinstance(self.action_space, spaces.Box):
            return action
        space = self._env.action_space(self._params(task))
        center, reach = (space.high + space.low) / 2, (space.high - space.low) / 2
        return center + reach * action


class _BraxEnvironment:
    def __init__(
        self,
        brax_env,
        *,
        reward,
        diverged_reward,
        horizon,
        metrics,
        vary,
        observe,
        rows_at_once,
    ):
        self.action_space = spaces.Box(-1.0, 1.0, (brax_env.action_size,))
        self.horizon = horizon
        self.control_step = float(brax_env.dt)
        self._env = brax_env
        self._reward = reward
        self._diverged_reward = diverged_reward
        self._metrics = tuple(metrics)
        self._vary = vary
        self._observe = observe
        self.rows_at_once = rows_at_once
        with _without_warnings():
            start = jax.eval_shape(lambda: brax_env.reset(jax.random.key(0)))
            shape = jax.eval_shape(observe, start.obs).shape
        self.observation_space = spaces.Box(-jnp.inf, jnp.inf, shape)

    def system(self, task):
        return self._in_task(task).sys

    def reset(self, key, task):
        with _without_warnings():
            state = self._start(key, task)
        return self._observe(state.obs), TimedState(state, jnp.int32(0))

    def step(self, key, state, action, task):
        step = _step_side_by_side(self) if self.rows_at_once > 1 else self._step
        return step(state, action, task)

    def _step(self, state, action, task):
        action = jnp.clip(jnp.where(jnp.isnan(action), 0.0, action), -1.0, 1.0)
        before = state.simulator
        with _without_warnings():
            after = self._simulate(before, action, task)
        diverged = _is_diverged(after)
        after = jax.tree.map(
            lambda old, new: jnp.where(diverged, old, new), before, after
        )
        time = state.time + 1
        reward = jnp.where(
            diverged,
            self._diverged_reward(task, self.horizon - state.time),
            self._reward(task, action, after.metrics),
        )
        info = {name: after.metrics[name] for name in self._metrics}
        info["diverged"] = diverged.astype(jnp.float32)
        terminated = diverged | (after.done > 0)
        truncated = time >= self.horizon
        observation = self._observe(after.obs)
        return observation, TimedState(after, time), reward, terminated, truncated, info

    def _simulate(self, state, action, task):
        varies = self._vary is not None
        step = self._in_task(task).step if varies else _step_traced_once(self._env)
        return step(_copied(state), action)

    def _in_task(self, task):
        return self._env if self._vary is None else self._vary(self._env, task)

    def _start(self, key, task):
        if self._vary is not None:
            # drawing q and qd beforehand saves a tenth of a rollout at best (64 hoppers
            # or arms on a CPU): most of a reset is to place and weigh the links
            return self._in_task(task).reset(key)
        starts = starting_states(self._env)
        number = jax.tree.leaves(starts)[0].shape[0]
        index = jax.random.randint(key, (), 0, number)
        return jax.tree.map(lambda leaf: jnp.asarray(leaf)[index], starts)


@contextlib.contextmanager
def _without_warnings():
    """Brax warns of its age when it is made, mujoco of brax when that is traced."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _copied(state):
    """Brax writes new metrics into the dictionaries of the old state."""
    return state.replace(metrics=dict(state.metrics), info=dict(state.info))


def _with_type_of(new, old):
    return jnp.asarray(new, old.dtype)


def _is_diverged(state):
    finite = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(state)]
    # not the observation: it is clipped for some robots, and lacks x for most
    moved = jnp.concatenate([state.pipeline_state.q, state.pipeline_state.qd])
    return ~jnp.all(jnp.array(finite)) | jnp.any(jnp.abs(moved) > _DIVERGED)
