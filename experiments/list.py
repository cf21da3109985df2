"""python -m experiments.list: the experiments and environments that there are."""

import envs
import experiments


def main() -> None:
    print("Experiments (python -m experiments.run NAME):")
    for name in experiments.EXPERIMENTS:
        print(f"  {name:28} {experiments.load(name).description}")
    print("Environments (--environment NAME):")
    print("  " + ", ".join(envs.ENVIRONMENTS))


if __name__ == "__main__":
    main()
