"""Analysis of a run as the host sees it: data, numbers, figures."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from envs.tasks import without_number
from experiments.experiment import Experiment, Problem, at_test_time, build
from experiments.run_directory import RunDirectory
from experiments.trainer import restore
from metarl_jax import analysis, analysis_plots, evaluation
from metarl_jax.adaptation import adaptation_path
from metarl_jax.gradient_methods import stages
from metarl_jax.run_files import make_folder, write_json
from metarl_jax.training import stage_returns
from metarl_jax.types import Array, Key, Params, Rollout, Task

_STATES = 1000  # observations that representations are compared on
_DRAWN_TASKS = 4


class Adapted(NamedTuple):
    """Trials of M tasks, and the policy's parameters after each step."""

    trials: Rollout  # [M, K+1, T, E]
    path: Params  # leaves [M, K+1, ...]


def analyse(options) -> str:
    """Analyses the newest checkpoint of a run, writes the results and describes them.

    Raises:
      ValueError: if the run does not adapt the parameters of a policy.
      OSError: if the results cannot be written.
    """
    directory = RunDirectory(options.run_dir)
    _, experiment = directory.load()
    problem = build(at_test_time(experiment))
    _check(experiment, problem)
    out = options.out or directory.path
    make_folder(out)
    state = restore(directory, build(experiment), experiment)
    params = jax.tree.map(lambda leaf: leaf[0], state.train_state.params)
    tasks = evaluation.held_out_tasks(problem.tasks, experiment.evaluation)
    tasks = jax.tree.map(lambda leaf: leaf[: options.num_tasks], tasks)
    key = jax.random.key(options.seed)
    adapted = _adapt(key, problem, params, tasks)
    change, cka, carried = _layer_numbers(problem, adapted)
    offsets = jnp.linspace(-options.reach, options.reach, options.grid)
    around = _landscape(key, problem, params, tasks, offsets)
    conclusion = describe(carried)
    write_json(
        out / "analysis.json",
        {
            "relative_change": _lists(change),
            "cka": _lists(cka),
            "kl_without": _lists(carried),
            "conclusion": conclusion,
            "landscape_offsets": offsets.tolist(),
            "return_around": around.tolist(),
        },
    )
    analysis_plots.layers(change, cka).savefig(out / "layers.png", dpi=150)
    analysis_plots.landscape(offsets, around).savefig(out / "landscape.png", dpi=150)
    spaces = problem.env.observation_space, problem.env.action_space
    if all(space.shape == (2,) for space in spaces):
        _draw_policies(out / "policies.png", problem, adapted, tasks, options.grid)
    return f"{_table(change, cka)}\n{conclusion}\nresults in {out}"


def describe(carried: dict[str, np.ndarray]) -> str:
    """Feature reuse or rapid learning, in a sentence, after the last step.

    Args:
      carried: as of `analysis.carried_by`, [M] each.

    References:
      Raghu et al., Rapid Learning or Feature Reuse? (2020),
      https://arxiv.org/abs/1909.09157 (there layers are frozen, here swapped)
    """
    nothing, hidden, rest = (
        float(np.mean(carried[name])) for name in ("nothing", "hidden", "rest")
    )
    verdict = "rapid learning" if hidden < rest else "feature reuse"
    return (
        f"{verdict}: the adapted policy is {nothing:.3g} nats from where it started, "
        f"{hidden:.3g} from the policy whose hidden layers alone are adapted, and "
        f"{rest:.3g} from that whose other parameters alone are."
    )


def _check(experiment: Experiment, problem: Problem) -> None:
    algorithm = problem.algorithm
    if algorithm.adaptation is None or algorithm.policy.activations is None:
        raise ValueError("only runs that adapt a policy's parameters can be analysed")
    if experiment.evaluation.num_adaptation_steps == 0:
        raise ValueError("this run is evaluated without adaptation: nothing changes")


def _adapt(key: Key, problem: Problem, params: Params, tasks: Task) -> Adapted:
    algorithm = problem.algorithm

    def one_task(key: Key, task: Task) -> Adapted:
        trial = algorithm.adapt(key, params, task)
        path = adaptation_path(algorithm.adaptation, params, stages(trial, 0, -1))
        return Adapted(trial, path)

    keys = jax.random.split(key, jax.tree.leaves(tasks)[0].shape[0])
    return jax.jit(lambda *xs: jax.lax.map(lambda x: one_task(*x), xs))(keys, tasks)


def _layer_numbers(problem: Problem, adapted: Adapted):
    """Relative change and CKA, layer -> [M, K] each, and what carried the change, [M].

    Representations are compared at observations from all tasks.
    """
    policy = problem.algorithm.policy
    shape = problem.env.observation_space.shape
    states = adapted.trials.observation[:, -1].reshape(-1, *shape)
    states = states[:: max(1, len(states) // _STATES)]

    def one_task(path: Params):
        before, last = (jax.tree.map(lambda leaf, k=k: leaf[k], path) for k in (0, -1))
        change, cka = jax.vmap(
            lambda after: (
                analysis.relative_change(before, after),
                analysis.similarity(policy, before, after, states),
            )
        )(stages(path, 1))
        return change, cka, analysis.carried_by(policy, before, last, states)

    numbers = jax.jit(lambda paths: jax.lax.map(one_task, paths))(adapted.path)
    return jax.tree.map(np.asarray, numbers)


def _landscape(
    key: Key, problem: Problem, params: Params, tasks: Task, offsets: Array
) -> np.ndarray:
    """The mean return after adaptation around the meta-parameters, [G, G]."""
    keys = jax.random.split(key, jax.tree.leaves(tasks)[0].shape[0])

    def value(params: Params) -> Array:
        adapt = problem.algorithm.adapt
        last = lambda entry: stage_returns(adapt(entry[0], params, entry[1]))[-1]
        return jnp.mean(jax.lax.map(last, (keys, tasks)))

    around = jax.jit(lambda p: analysis.landscape(key, value, p, offsets))
    return np.asarray(around(params))


def _draw_policies(path, problem: Problem, adapted: Adapted, tasks, size: int) -> None:
    """Draws the policy before and after adaptation over the states that were seen."""
    seen = np.asarray(adapted.trials.observation).reshape(-1, 2)
    low, high = np.quantile(seen, [0.02, 0.98], axis=0)
    axes = np.linspace(low, high, size)
    grid = np.stack(np.meshgrid(axes[:, 0], axes[:, 1]), axis=-1)
    count = min(_DRAWN_TASKS, len(adapted.trials.reward))
    at = lambda m, k: jax.tree.map(lambda leaf: leaf[m, k], adapted.path)
    states = jnp.asarray(grid.reshape(-1, 2))
    changes = [
        analysis.policy_change(problem.algorithm.policy, at(m, 0), at(m, -1), states)
        for m in range(count)
    ]
    shaped = [
        [np.asarray(x).reshape(size, size, *x.shape[1:]) for x in c] for c in changes
    ]
    titles = [_title(tasks, m) for m in range(count)]
    figure = analysis_plots.policies(grid, *zip(*shaped, strict=True), titles)
    figure.savefig(path, dpi=150)


def _title(tasks: Any, index: int) -> str:
    leaves = jax.tree.leaves(without_number(tasks))
    values = np.concatenate([np.ravel(leaf[index]) for leaf in leaves])
    return "task " + ", ".join(f"{value:.2f}" for value in values[:3])


def _lists(numbers: dict[str, np.ndarray]) -> dict[str, Any]:
    return {name: values.tolist() for name, values in numbers.items()}


def _table(change: dict[str, np.ndarray], cka: dict[str, np.ndarray]) -> str:
    lines = [f"{'layer':>12} {'relative change':>18} {'CKA':>14}"]
    for name, values in change.items():
        moved = f"{values[:, -1].mean():.3f} +- {values[:, -1].std():.3f}"
        alike = ""
        if name in cka:
            alike = f"{cka[name][:, -1].mean():.3f} +- {cka[name][:, -1].std():.3f}"
        lines.append(f"{name:>12} {moved:>18} {alike:>14}")
    return "\n".join(lines)
