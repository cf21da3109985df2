"""Measures one combination of a benchmark, in a process that does nothing else."""

import time
from collections.abc import Callable
from typing import Any

import jax

from experiments import benchmark_parts
from experiments.benchmark_parts import Inputs, compiled
from experiments.benchmark_results import Measurement
from experiments.experiment import (
    Experiment,
    Problem,
    build,
    env_steps_per_iteration,
)
from experiments.timing import timed
from metarl_jax import costs, machine, platform, training
from metarl_jax.task_axis import largest_divisor
from metarl_jax.training import RunState
from metarl_jax.types import Policy

# what a long measurement says that it is doing
Report = Callable[[str], None]


def describe_machine(report: Report) -> dict[str, Any]:
    """`machine.description()`, as a function to run in a process of its own."""
    return machine.description()


def measure(experiment: Experiment, repeats: int, report: Report) -> Measurement:
    """Times whole meta-iterations, then their parts, then the machine.

    Memory is that of the whole meta-iterations, which come first.

    Args:
      experiment: with the sizes that are wanted.
      repeats: timed runs after one that is not timed; a run of whole meta-iterations
        is of `iterations_per_chunk`.
      report: is told what is being done.
    """
    platform.configure(cache=False)
    problem = build(experiment)
    report("compiling")
    seconds, state, prepared = _whole_iterations(problem, experiment, repeats, report)
    memory = {
        "host_memory_mb": platform.peak_host_memory_mb(),
        "device_memory_mb": platform.peak_device_memory_mb(),
    }
    seconds |= _parts(problem, experiment, state, repeats, report)
    report("measuring the machine")
    return Measurement(
        seconds=seconds,
        **prepared,
        **memory,
        **_sizes(problem, experiment),
        **_costs(problem, experiment),
        **_rates(problem, experiment),
    )


def _whole_iterations(
    problem: Problem, experiment: Experiment, repeats: int, report: Report
) -> tuple[dict[str, list[float]], RunState, dict[str, float]]:
    """Seconds of one meta-iteration, the state after all, and what compiling took."""
    config = experiment.training
    length = config.iterations_per_chunk
    step = problem.step(config.num_tasks)
    program = training.chunk_program(step, problem.axis, length)
    state = problem.axis.replicate(problem.initial_state(config))
    program, prepared = _compile(program, state, problem.numbers)

    def advance() -> RunState:
        nonlocal state
        state, _ = program(state, problem.numbers)
        return state

    report("timing whole meta-iterations")
    seconds = [total / length for total in timed(advance, repeats)]
    return {"iteration": seconds}, state, prepared


def _compile(program: Any, *arguments: Any) -> tuple[Any, dict[str, float]]:
    """The compiled program, and the seconds and memory of its making."""
    start = time.perf_counter()
    traced = program.trace(*arguments)
    after_trace = time.perf_counter()
    lowered = traced.lower()
    after_lower = time.perf_counter()
    executable = lowered.compile()
    end = time.perf_counter()
    return executable, {
        "trace_seconds": after_trace - start,
        "lower_seconds": after_lower - after_trace,
        "compile_seconds": end - after_lower,
        "program_memory_mb": executable.memory_analysis().temp_size_in_bytes / 1e6,
    }


def _parts(
    problem: Problem,
    experiment: Experiment,
    state: RunState,
    repeats: int,
    report: Report,
) -> dict[str, list[float]]:
    """Seconds of each part that the algorithm has."""
    seconds = {}

    def run(name: str, inputs: Inputs) -> Any:
        part = getattr(benchmark_parts, name)(problem, experiment)
        program = compiled(part, problem)
        if program is None:
            return None
        report(f"timing {name}")
        seconds[name] = timed(lambda: program(inputs), repeats)
        return program(inputs)

    inputs = Inputs(state)
    inputs = inputs._replace(trials=run("trials", inputs))
    for name in ("gradient", "update"):
        run(name, inputs)
    inputs = inputs._replace(adapted=run("adapt", inputs))
    run("collect", inputs)
    return seconds


def _sizes(problem: Problem, experiment: Experiment) -> dict[str, int]:
    config = experiment.training
    return {
        "devices_in_use": problem.axis.num_devices,
        "tasks_at_once": _tasks_at_once(problem, experiment),
        "env_steps": config.num_seeds
        * env_steps_per_iteration(problem, config.num_tasks),
    }


def _tasks_at_once(problem: Problem, experiment: Experiment) -> int:
    on_device = experiment.training.num_tasks // problem.axis.num_devices
    return largest_divisor(on_device, problem.axis.chunk_size or on_device)


def _costs(problem: Problem, experiment: Experiment) -> dict[str, float | None]:
    """Operations and bytes of one meta-iteration of all seeds."""
    config = experiment.training
    work = costs.work(experiment.algorithm)
    if work is None:
        return {"flops": None, "traffic": None}
    layers = costs.layers(_policy_shapes(problem.algorithm.policy))
    state = jax.eval_shape(lambda: training.initial_state(problem.algorithm, config))
    collect = compiled(benchmark_parts.trials(problem, experiment), problem)
    steps = _steps_of_stage(problem, experiment)
    return {
        "flops": config.num_seeds * work.flops(layers, config.num_tasks, steps),
        "traffic": work.traffic(jax.eval_shape(collect, Inputs(state))),
    }


def _rates(problem: Problem, experiment: Experiment) -> dict[str, float | None]:
    """What the machine does on the devices in use."""
    devices = problem.axis.num_devices
    rates = machine.measured_rates(devices)._asdict()
    policy = problem.algorithm.policy
    if policy is None:
        return rates | {"own_products": None}
    leaves = jax.tree.leaves(_policy_shapes(policy))
    own = machine.products_rate(
        devices,
        batch=_tasks_at_once(problem, experiment),
        rows=_steps_of_stage(problem, experiment),
        width=max(size for leaf in leaves for size in leaf.shape),
    )
    return rates | {"own_products": own}


def _steps_of_stage(problem: Problem, experiment: Experiment) -> int:
    """T E."""
    return problem.env.horizon * experiment.algorithm.num_episodes


def _policy_shapes(policy: Policy) -> Any:
    """Shapes of the parameters that the policy acts with."""
    return jax.eval_shape(policy.init, jax.random.key(0))
