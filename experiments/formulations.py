"""python -m experiments.formulations --out DIR: two meta-gradients in one dimension.

After figure 5 of Rothfuss et al. (2019): meta-training of a policy with two parameters,
from the same start, by formulation I (MAML with DiCE, credit through the adaptation
step) and by formulation II (E-MAML, the exploration term). Prints where each arrives
and how noisy its meta-gradient is at the start, for II also with a baseline; --out DIR
saves formulations.png and formulations.json.

A row starts at s_0 ~ U(-2, 2); the policy draws a ~ N(theta_0 s**2 + theta_1, 1), and
the next position is a, clipped to [-2, 2], with reward exp(-(s - goal)**2 / 10) for a
goal at -1 or 1. The paper gives the goals, the random start and the number of
parameters; the rest, the start (0.09, 0.05) and the optimum (0, 0) included, is as in
its authors' published code, except that an action is credited with the rewards that
follow it and not with those before.
"""

import dataclasses
import json
import sys
import time
from pathlib import Path

from experiments import cli
from metarl_jax import platform
from metarl_jax.checks import require_seeds
from metarl_jax.run_files import make_folder


@dataclasses.dataclass(frozen=True)
class Options:
    """Sizes and steps."""

    num_iterations: int = 150  # outer steps
    num_tasks: int = 40  # per goal and iteration; N is twice that
    num_trajectories: int = 100  # E, before adaptation and once more after it
    horizon: int = 5  # T
    step_size: float = 0.1  # alpha, on the return
    outer_step_size: float = 0.02  # on the return
    num_seeds: int = 5
    seed: int = 0
    out: Path | None = None  # a folder for the figure and the paths


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    with cli.clear_errors():
        options = checked(
            cli.parse(Options, "python -m experiments.formulations", arguments)
        )
        if options.out:
            make_folder(options.out)
    platform.configure()

    from experiments.formulation_paths import FORMULATIONS, gradients, train

    start, paths, noise = time.perf_counter(), {}, {}
    for name in FORMULATIONS:
        paths[name] = train(options, name)
        noise[name] = gradients(options, name)
        print(_summary(name, paths[name], noise[name]), flush=True)
    print(f"{time.perf_counter() - start:.0f} s")
    if options.out:
        save(options, paths, noise)
        print(f"figure and paths: {options.out}")


def checked(options: Options) -> Options:
    """Raises ValueError, in one line, for what cannot be run."""
    require_seeds(options.seed)
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if field.name not in ("seed", "out") and not 0 < value < 1e6:
            flag = "--" + field.name.replace("_", "-")
            raise ValueError(f"{flag} must be above 0, not {value}")
    return options


def save(options: Options, paths: dict, noise: dict) -> None:
    """Writes the figure, and the paths with what made them."""
    from experiments.gradient_plots import parameter_paths

    settings = dataclasses.asdict(options) | {"out": str(options.out)}
    content = {
        "options": settings,
        "paths": {name: path.tolist() for name, path in paths.items()},
        "gradients": {name: values.tolist() for name, values in noise.items()},
    }
    (options.out / "formulations.json").write_text(json.dumps(content) + "\n")
    figure = parameter_paths(paths)
    figure.savefig(options.out / "formulations.png", dpi=150)


def _summary(name: str, paths, noise) -> str:
    import numpy as np

    end, distance = paths[:, -1], np.linalg.norm(paths, axis=-1)
    steps = np.linalg.norm(np.diff(paths, axis=1), axis=-1).sum(axis=1)
    straight = np.linalg.norm(paths[:, -1] - paths[:, 0], axis=-1)
    mean, std = noise.mean(axis=0), noise.std(axis=0, ddof=1)
    pair = lambda x: f"({x[0]:+.4f}, {x[1]:+.4f})"
    return (
        f"{name}: ends at {pair(end.mean(axis=0))}, {distance[:, -1].mean():.4f} from "
        f"the optimum (began {distance[:, 0].mean():.4f}); length of the path over the "
        f"straight line {(steps / straight).mean():.1f}; meta-gradient at the start "
        f"{pair(mean)} +- {pair(std)}"
    )


if __name__ == "__main__":
    main()
