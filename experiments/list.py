"""python -m experiments.list: experiments, comparisons, environments, algorithms."""

import experiments
from experiments import cli


def main() -> None:
    cli.take_no_arguments(__doc__)
    import envs
    from metarl_jax.algorithms import ALGORITHMS

    print("Experiments (python -m experiments.run NAME):")
    for name in experiments.EXPERIMENTS:
        print(f"  {name:28} {experiments.load(name).description}")
    print("Comparisons (python -m experiments.compare NAME):")
    for name in experiments.COMPARISONS:
        comparison = experiments.load_comparison(name)
        print(f"  {name:28} {', '.join(comparison.rows)}")
    print("Environments (--environment NAME):")
    print("  " + ", ".join(envs.ENVIRONMENTS))
    print("Algorithms (metarl_jax/algorithms):")
    print("  " + ", ".join(make.__name__ for make in ALGORITHMS.values()))


if __name__ == "__main__":
    main()
