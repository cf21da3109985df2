"""python -m experiments.benchmark_compare NEW OLD: two saved benchmarks.

Prints, for each combination in both benchmark.json files, the ratio of environment
steps per second with an interval, and what differs in machine, versions and settings.
"""

import sys
from pathlib import Path

from experiments import benchmark_report, benchmark_results, cli


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    if "-h" in arguments or "--help" in arguments:
        print(__doc__)
        return
    if len(arguments) != 2:
        cli.fail("name two files: python -m experiments.benchmark_compare NEW OLD")
    with cli.clear_errors():
        new = benchmark_results.load(Path(arguments[0]))
        benchmark_report.print_comparison(new, Path(arguments[1]))


if __name__ == "__main__":
    main()
