"""python -m experiments.list: the experiments, comparisons and environments."""

import experiments
from experiments import cli


def main() -> None:
    cli.take_no_arguments(__doc__)
    import envs

    print("Experiments (python -m experiments.run NAME):")
    for name in experiments.EXPERIMENTS:
        print(f"  {name:28} {experiments.load(name).description}")
    print("Comparisons (python -m experiments.compare NAME):")
    for name in experiments.COMPARISONS:
        comparison = experiments.load_comparison(name)
        print(f"  {name:28} {', '.join(comparison.rows)}")
    print("Environments (--environment NAME):")
    print("  " + ", ".join(envs.ENVIRONMENTS))


if __name__ == "__main__":
    main()
