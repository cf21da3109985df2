"""python -m experiments.benchmark NAME[,NAME...] [--tasks 20,40] [--any.field value].

Times meta-iterations and their parts, after a warm-up and synchronised, for every
combination of --tasks, --chunk-sizes, --devices and --seeds, each in a process of its
own with the compilation cache off. Prints a table and saves benchmark.json, .csv and
.png in --out after each of them; --against FILE compares with an earlier
benchmark.json. docs/performance.md says what the columns mean.
"""

import signal
import sys

from experiments import cli
from metarl_jax import platform


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)
        raise SystemExit(0 if arguments else 2)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    platform.use_cpu_only()  # accelerators belong to the processes that measure

    from experiments import benchmark_plan, benchmark_report, benchmark_runner

    try:
        with cli.clear_errors():
            plan = benchmark_plan.prepare(cli.names_in(arguments[0]), arguments[1:])
            results = benchmark_runner.run(plan)
            if plan.against:
                benchmark_report.print_comparison(results, plan.against)
    except (cli.Interrupted, KeyboardInterrupt) as stop:
        print(f"stopped: {str(stop) or 'nothing was measured yet'}")
        raise SystemExit(130) from None
    if not any(row.measurement for row in results.rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
