"""ES-MAML: the meta-gradient by evolution strategies, without second derivatives."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

from metarl_jax.checks import require, require_positive
from metarl_jax.gradient_methods import InnerConfig, collect_trial, inner_loop
from metarl_jax.networks import mlp_policy
from metarl_jax.rollouts import episode_return
from metarl_jax.task_axis import TaskAxis
from metarl_jax.types import Array, Environment, Key, MetaAlgorithm, Params, Rollout


@dataclasses.dataclass(frozen=True)
class EsMamlConfig(InnerConfig):
    """The inner loop, and OpenAI's evolution strategy around it."""

    population_size: int = 20  # perturbed meta-parameters, in pairs of either sign
    perturbation: float = 0.05  # sigma, the standard deviation of each parameter
    learning_rate: float = 1e-2  # of Adam, on the estimated gradient

    def __post_init__(self):
        super().__post_init__()
        require_positive(self, "population_size", "perturbation", "learning_rate")
        require(self.population_size % 2 == 0, "population_size must be even")


class EsMamlState(NamedTuple):
    params: Params
    strategy: Any  # evosax's state
    population: Array  # [population_size, P]; what the next trials start from


def es_maml(env: Environment, config: EsMamlConfig, axis: TaskAxis) -> MetaAlgorithm:
    """Learns from the returns after adaptation of perturbed meta-parameters.

    In training every task is adapted to from each member of the population, with the
    same random numbers. Fitness is the rank of the mean return after K adaptation
    steps.

    Args:
      env: the environment.
      config: of the learner.
      axis: how to go over tasks.

    Returns:
      The corresponding `MetaAlgorithm`.

    References:
      Song et al., ES-MAML: Simple Hessian-Free Meta Learning (2020),
      https://arxiv.org/abs/1910.01215
      Salimans et al., Evolution Strategies as a Scalable Alternative to Reinforcement
      Learning (2017), https://arxiv.org/abs/1703.03864
    """
    from evosax.algorithms.distribution_based.open_es import Open_ES  # slow to import
    from evosax.core.fitness_shaping import centered_rank_fitness_shaping_fn

    policy = mlp_policy(env.observation_space, env.action_space, config.network)
    adaptation = inner_loop(policy, config)
    adapt = collect_trial(env, policy, adaptation, config)
    example = jax.eval_shape(policy.init, jax.random.key(0))
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), example)
    unravel = ravel_pytree(zeros)[1]
    strategy = Open_ES(
        config.population_size,
        zeros,
        optimizer=optax.adam(config.learning_rate),
        std_schedule=optax.constant_schedule(config.perturbation),
        fitness_shaping_fn=centered_rank_fitness_shaping_fn,
    )
    settings = strategy.default_params

    def ask(key: Key, state: Any) -> EsMamlState:
        population, state = strategy.ask(key, state, settings)
        flat = jax.vmap(lambda member: ravel_pytree(member)[0])(population)
        return EsMamlState(unravel(state.mean), state, flat)

    def init(key: Key) -> EsMamlState:
        init_key, strategy_key, ask_key = jax.random.split(key, 3)
        params = policy.init(init_key)
        return ask(ask_key, strategy.init(strategy_key, params, settings))

    def explore(key: Key, state: EsMamlState, task: Any) -> Rollout:
        trial = lambda member: adapt(key, unravel(member), task)
        return jax.lax.map(trial, state.population)

    def update(key: Key, state: EsMamlState, trials: Rollout):
        tell_key, ask_key = jax.random.split(key)
        fitness = -_returns(axis, trials)
        population = jax.vmap(unravel)(state.population)
        told, _ = strategy.tell(tell_key, population, fitness, state.strategy, settings)
        metrics = {"best_return": -jnp.min(fitness), "spread": jnp.std(fitness)}
        return ask(ask_key, told), metrics

    return MetaAlgorithm(init, adapt, update, explore, policy, adaptation)


def _returns(axis: TaskAxis, trials: Rollout) -> Array:
    """The mean return after adaptation of each member, [population_size]."""

    def of_task(_, trial: Rollout) -> Array:
        last = jax.tree.map(lambda leaf: leaf[:, -1], trial)
        return jnp.mean(jax.vmap(episode_return)(last), axis=-1)

    return axis.mean(of_task, (), trials)
