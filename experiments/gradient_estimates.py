"""The estimators that `experiments.gradient_quality` compares, as compiled programs."""

import functools
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import envs
from metarl_jax import exact, surrogates
from metarl_jax import gradient_quality as quality
from metarl_jax.exact import TabularMdp
from metarl_jax.gradient_quality import Problem, Setting
from metarl_jax.losses import AdvantageConfig, AdvantageFn, advantages
from metarl_jax.surrogates import Surrogate
from metarl_jax.types import Array, Key, LossFn


class Estimator(NamedTuple):
    """An inner loss, and the exploration term beside it."""

    surrogate: Surrogate
    advantages: AdvantageFn
    credit_weight: float = 0.0


def estimators(options) -> dict[str, Estimator]:
    """All estimators that are derivatives of a loss, by name."""
    config = partial(
        AdvantageConfig,
        discount=options.discount,
        normalize=False,
        weigh_by_discount=options.discount < 1,
    )
    fitted, none = advantages(config()), advantages(config(baseline="none"))
    faded = advantages(config(trace_decay=options.trace_decay))
    loaded = partial(surrogates.loaded_dice, credit_decay=options.credit_decay)
    return {
        "log_probability": Estimator(surrogates.log_probability, fitted),
        "likelihood_ratio (LVC)": Estimator(surrogates.likelihood_ratio, fitted),
        "dice, no baseline": Estimator(surrogates.dice, none),
        "dice": Estimator(surrogates.dice, fitted),
        "loaded_dice": Estimator(loaded, faded),
        "taypo2": Estimator(surrogates.taypo2, fitted),
        "exploration credit": Estimator(surrogates.log_probability, fitted, 1.0),
    }


def problems(options, off_policy: float) -> list[Problem]:
    """Random MDPs with policies of logits N(0, 1), and behaviour away from them."""
    _, tasks = envs.make(
        "tabular_mdp", num_states=options.num_states, num_actions=options.num_actions
    )
    shape = options.num_states, options.num_actions

    def problem(key: Key) -> Problem:
        task_key, logits_key, shift_key = jax.random.split(key, 3)
        task = tasks.train(task_key)
        start = jax.nn.one_hot(0, options.num_states)
        logits = jax.random.normal(logits_key, shape)
        behavior = logits + off_policy * jax.random.normal(shift_key, shape)
        return Problem(
            TabularMdp(task.transition, task.reward, start), logits, behavior
        )

    keys = jax.random.split(jax.random.key(options.seed), options.num_mdps)
    return [jax.jit(problem)(key) for key in keys]


def truth(options, problem: Problem) -> dict[str, Array]:
    """The exact derivatives."""
    return _truth_program(options)(problem)


def estimates(options, case, problem: Problem, index: int) -> dict:
    """All estimates of one case: `(estimator, quantity) -> [R, ...]`.

    The exploration term is a part of a meta-gradient only. It and evolution
    strategies sample from the policy itself, so they are left out off-policy.

    Args:
      options: of the command.
      case: the number of trajectories, and how far off-policy the data is.
      problem: one MDP.
      index: of the MDP; data is independent between them.
    """
    key = jax.random.fold_in(jax.random.key(options.seed + 1), index)
    keys = jax.random.split(key, options.num_repeats)
    by_loss = _loss_program(options, case.num_trajectories)(problem, keys)
    names = list(estimators(options))
    found = {
        (name, quantity): np.asarray(values[:, i])
        for i, name in enumerate(names)
        for quantity, values in by_loss.items()
        if name != "exploration credit"
        or (quantity == "meta_gradient" and not case.off_policy)
    }
    if not case.off_policy:
        evolved = _evolution_program(options, case.num_trajectories)(problem, keys)
        found |= {("evolution", name): np.asarray(x) for name, x in evolved.items()}
    return found


@functools.cache
def _truth_program(options):
    return jax.jit(
        lambda problem: quality.exact_derivatives(problem, _setting(options))
    )


@functools.cache
def _loss_program(options, num_trajectories: int):
    """`(problem, keys [R]) -> {quantity: [R, number of estimators, ...]}`.

    One program serves all estimators: which surrogate and which advantages are used
    is an index, so that the rest is compiled once.
    """
    setting, named = _setting(options), estimators(options)
    table = list(named.values())
    outer = _loss(options, named["likelihood_ratio (LVC)"])

    def one(problem: Problem, key: Key, index: Array) -> dict[str, Array]:
        sample_key, meta_key = jax.random.split(key)
        inner = _loss(options, _chosen(table, index))
        weight = jnp.asarray([entry.credit_weight for entry in table])[index]
        data = quality.sample_rollout(
            sample_key,
            problem.mdp,
            problem.behavior,
            setting.horizon,
            num_trajectories,
        )
        return {
            "policy_gradient": jax.grad(inner)(problem.logits, data),
            "hessian": quality.hessian(inner, problem.logits, data),
            "meta_gradient": quality.meta_gradient(
                meta_key,
                problem,
                inner,
                outer,
                setting,
                num_trajectories,
                credit_weight=weight,
                credit_baseline=_adapted_return(problem, setting),
            ),
        }

    def all_estimators(problem: Problem, key: Key) -> dict[str, Array]:
        index = jnp.arange(len(table))
        return jax.lax.map(lambda i: one(problem, key, i), index)

    return _over_repeats(all_estimators)


@functools.cache
def _evolution_program(options, num_trajectories: int):
    """`(problem, keys [R]) -> {quantity: [R, S, A]}`."""
    setting, std = _setting(options), options.evolution_std
    inner = _loss(options, estimators(options)["likelihood_ratio (LVC)"])

    def one(problem: Problem, key: Key) -> dict[str, Array]:
        policy_key, meta_key = jax.random.split(key)
        return {
            "policy_gradient": quality.evolution_policy_gradient(
                policy_key, problem, setting, std, num_trajectories
            ),
            "meta_gradient": quality.evolution_meta_gradient(
                meta_key, problem, inner, setting, std, num_trajectories
            ),
        }

    return _over_repeats(one)


def _over_repeats(fn):
    """Compiles `fn(problem, key)` over keys [R], one after another.

    On one device: its large operations use all cores anyway.
    """
    return jax.jit(lambda problem, keys: jax.lax.map(partial(fn, problem), keys))


def _loss(options, estimator: Estimator) -> LossFn:
    return quality.estimator(
        estimator.surrogate, estimator.advantages, options.num_states
    )


def _chosen(table: list[Estimator], index: Array) -> Estimator:
    """The estimator of this index, which may be traced."""

    def choose(functions: list[Callable]) -> Callable:
        distinct = list(dict.fromkeys(functions))  # each is compiled once
        number = jnp.asarray([distinct.index(fn) for fn in functions])[index]
        return lambda *arguments: jax.lax.switch(number, distinct, *arguments)

    return Estimator(
        choose([entry.surrogate for entry in table]),
        choose([entry.advantages for entry in table]),
    )


def _adapted_return(problem: Problem, setting: Setting) -> Array:
    """J / T after exact adaptation: the best constant baseline, if one knew it."""
    return -exact.meta_objective(
        problem.mdp,
        problem.logits,
        (setting.step_size,),
        setting.horizon,
        setting.discount,
    )


def _setting(options) -> Setting:
    return Setting(options.horizon, options.discount, options.step_size)
