"""python -m experiments.scaling NAME [--devices 1,8,64] [--iteration-seconds T].

Counts what a meta-iteration sends between devices and, from the time T of one on a
single device, predicts its speed on many: `weak`, where each device has as many tasks
as that one had, and `strong`, where they share those if they can. T is measured by
`python -m experiments.benchmark NAME --num-devices 1`; the network is assumed.
"""

import dataclasses
import sys
from collections.abc import Sequence
from typing import Annotated

import tyro

import experiments
from experiments import cli
from metarl_jax import platform


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)
        raise SystemExit(0 if arguments else 2)
    platform.simulate_devices(2)  # enough to see what is sent, on any machine
    with cli.clear_errors():
        options = _parse(arguments[0], arguments[1:])
        all_reduces, env_steps = communication(options.experiment)
    _print_sums(all_reduces)
    _print_devices(options, all_reduces, env_steps)


def communication(experiment):
    """Of one meta-iteration of all seeds side by side, as on accelerators.

    Args:
      experiment: with an even number of tasks.

    Returns:
      `(all-reduces, environment steps)`.

    Raises:
      ValueError: if the number of tasks is odd.
    """
    from functools import partial

    import jax

    from experiments.experiment import build, env_steps_per_iteration
    from metarl_jax import training
    from metarl_jax.checks import require
    from metarl_jax.communication import reductions

    config = experiment.training
    require(
        config.num_tasks % 2 == 0,
        "what devices send is counted with two of them, which share the tasks: "
        f"num_tasks must be even, not {config.num_tasks}",
    )
    config = dataclasses.replace(
        config, num_devices=2, tasks_per_chunk=max(config.num_tasks, config.num_seeds)
    )
    problem = build(dataclasses.replace(experiment, training=config))
    step = training.meta_step(
        problem.algorithm, problem.tasks.train, problem.axis, config.num_tasks
    )
    state = jax.eval_shape(partial(training.initial_state, problem.algorithm, config))
    sums = reductions(partial(problem.axis.over_seeds, step), state)
    steps = config.num_seeds * env_steps_per_iteration(problem, config.num_tasks)
    return sums, steps


def _parse(name: str, arguments: Sequence[str]):
    default = experiments.load(name)

    from experiments.experiment import Experiment

    @dataclasses.dataclass(frozen=True)
    class Options:
        experiment: Annotated[Experiment, tyro.conf.arg(name="")]
        devices: str = "1,8,64"  # numbers of devices, separated by commas
        # of a meta-iteration on one device; without it nothing is predicted
        iteration_seconds: float | None = None
        bandwidth_gb_s: float = 10.0  # 1e9 bytes per second out of one device
        latency_us: float = 20.0  # microseconds from one device to the next

    options = cli.parse(
        Options,
        f"python -m experiments.scaling {name}",
        arguments,
        default=Options(default),
    )
    numbers = options.devices.split(",")
    if not all(number.isdecimal() and int(number) > 0 for number in numbers):
        raise ValueError(f"--devices takes numbers like 1,8,64, not {options.devices}")
    for field in ("iteration_seconds", "bandwidth_gb_s", "latency_us"):
        value = getattr(options, field)
        if value is not None and not 0 < value < float("inf"):
            raise ValueError(f"{field} must be above 0, not {value}")
    return dataclasses.replace(options, devices=[int(number) for number in numbers])


def _print_sums(all_reduces) -> None:
    """One row for each size of sum."""
    print(f"{'bytes':>10} {'all-reduces per meta-iteration':>32}")
    for size in sorted({each.num_bytes for each in all_reduces}, reverse=True):
        count = sum(each.count for each in all_reduces if each.num_bytes == size)
        print(f"{size:>10} {count:>32}")


def _print_devices(options, all_reduces, env_steps: int) -> None:
    from metarl_jax.communication import Network, bytes_sent, seconds

    num_tasks = options.experiment.training.num_tasks
    network = Network(options.bandwidth_gb_s * 1e9, options.latency_us * 1e-6)
    columns = ["devices", "bytes sent by each", "seconds sending"]
    columns += ["weak steps/s", "efficiency", "strong steps/s", "efficiency"]
    computing = options.iteration_seconds
    columns = columns if computing else columns[:3]
    print(" ".join(f"{column:>18}" for column in columns))
    for number in options.devices:
        sending = seconds(all_reduces, number, network)
        row = [number, bytes_sent(all_reduces, number), sending]
        if computing:
            speed = env_steps / computing  # of one device
            weak = number * env_steps / (computing + sending)
            row += [weak, weak / (number * speed)]
            if num_tasks % number == 0:
                strong = env_steps / (computing / number + sending)
                row += [strong, strong / (number * speed)]
        print(" ".join(f"{value:>18.4g}" for value in row))


if __name__ == "__main__":
    main()
