"""Runs the combinations of a benchmark one after another, and saves as it goes."""

from tqdm import tqdm

from experiments import benchmark_report, benchmark_results, child_process
from experiments.benchmark_measure import describe_machine, measure
from experiments.benchmark_plan import Plan
from experiments.benchmark_results import Combination, Results, Row
from experiments.cli import Interrupted
from experiments.run_directory import document
from metarl_jax.checks import require


def run(plan: Plan) -> Results:
    """Measures all combinations; a failure is recorded and the rest goes on.

    Args:
      plan: checked, but for the number of devices.

    Returns:
      What was measured, which is saved already.

    Raises:
      ValueError: if more devices are asked for than there are.
      Interrupted: after Ctrl-C or SIGTERM; says what is saved.
    """
    machine = child_process.run(describe_machine, report=lambda _: None)
    _check_devices(plan.combinations, machine["device"]["count"])
    documents = {name: document(name, e) for name, e in plan.experiments.items()}
    results = Results(machine, documents, [])
    print(f"results in {plan.out}\n{benchmark_report.heading()}", flush=True)
    with tqdm(total=len(plan.combinations), unit="run") as progress:
        try:
            for combination in plan.combinations:
                row = _measured(plan, combination, progress)
                results.rows.append(row)
                benchmark_results.save(plan.out, results)
                benchmark_report.draw(plan.out, results)
                progress.write(benchmark_report.line(row))
                progress.update()
        except KeyboardInterrupt:
            done, total = len(results.rows), len(plan.combinations)
            raise Interrupted(f"{done} of {total} rows are in {plan.out}") from None
    return results


def _measured(plan: Plan, combination: Combination, progress: tqdm) -> Row:
    name = f"{combination.experiment}, {combination.num_tasks} tasks"
    experiment = combination.of(plan.experiments[combination.experiment])
    report = lambda text: progress.set_description(f"{name}: {text}")
    report("starting")
    try:
        found = child_process.run(measure, experiment, plan.repeats, report=report)
    except ChildProcessError as error:
        return Row(combination, None, str(error))
    return Row(combination, found)


def _check_devices(combinations: list[Combination], available: int) -> None:
    wanted = max(combination.num_devices or 1 for combination in combinations)
    require(
        wanted <= available,
        f"--devices must be at most {available} on this machine, not {wanted}",
    )
