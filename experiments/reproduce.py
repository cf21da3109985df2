"""python -m experiments.reproduce TABLE: the published tables, cell by cell.

TABLE is bandits, mdps, gridnavi or locomotion. Scores classical agents, and trains and
scores learned ones, each in a process of its own, on tasks that nothing was chosen or
trained on (GridNavi has no others), and writes the table beside the published figures
into --out, anew after each. What is done is not done again, and an interrupted
training goes on where it stopped: give the same command. A row that fails is recorded
with the reason, and tried again by the next command.

    python -m experiments.reproduce bandits --cells "bandit-n10-*" --agents "g*,ucb1"
    python -m experiments.reproduce mdps --agents maml --estimate 3
    python -m experiments.reproduce locomotion --cells "ant*" --iterations 100
    python -m experiments.reproduce tables

--estimate trains nothing: it times that many iterations of the learned agents, and the
table then says what the rest would take. "tables" puts all that is in --out into
docs/data/reproduce and the tables of that into docs/results.md.
"""

import dataclasses
import shlex
import sys
from pathlib import Path
from typing import Any

import tyro

from experiments import cli, rows
from metarl_jax import platform

_PROGRAM = "python -m experiments.reproduce"


@dataclasses.dataclass(frozen=True)
class Options:
    """Reproduces the published tables of bandits, MDPs, GridNavi and robots."""

    table: tyro.conf.Positional[str]  # one of those above; or "tables", to write
    cells: str | None = None  # names, separated by commas, with *; all by default
    agents: str | None = None  # likewise
    budget: str = "small"  # "small" or "paper": how long agents are trained
    # of training, in place of the budget's; robots that do not adapt get twice as many
    iterations: int | None = None
    # that each agent is scored on; None: 10,000, but of robots on 40 tasks
    trials: int | None = None
    estimate: int = 0  # iterations to time, instead of training and scoring
    processes: int = 1  # rows at a time
    out: Path = Path("runs/reproduce")
    docs: Path = Path("docs")  # of "tables"


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    options = cli.parse(Options, _PROGRAM, arguments, description=__doc__)
    with cli.clear_errors():
        rows.share_machine(str(options.processes))
    platform.configure()
    command = f"{_PROGRAM} {shlex.join(arguments)}"
    if options.table == "tables":
        return _write_tables(options)
    with cli.clear_errors():
        results, chosen = plan(options, command)
        results.prepare(chosen)
    rows.run_and_report(chosen, results, command, options.processes)


def plan(options: Options, command: str):
    """The `Reproduction` or `Estimates`, and the names of the rows to run.

    Raises:
      ValueError: for an unknown name, or a number out of range.
    """
    from experiments.reproduce_folder import Estimates, Reproduction, estimates_in

    _check(options)
    planned = _planned(options)
    if not options.estimate:
        settings = options.table, _num_trials(options), command
        return Reproduction(options.out, planned, *settings), list(planned)
    learned = _learned(planned, options)
    settings = options.table, options.estimate, command
    return Estimates(estimates_in(options.out), learned, *settings), list(learned)


def _check(options: Options) -> None:
    from experiments.reproduce_kinds import KINDS

    if options.table not in KINDS:
        choices = ", ".join([*KINDS, "tables"])
        raise ValueError(f"no table '{options.table}'; choose from {choices}")
    KINDS[options.table].check_num_trials(_num_trials(options))
    if options.estimate < 0:
        raise ValueError(f"--estimate must be 0 or more, not {options.estimate}")
    if options.iterations is not None and options.iterations < 1:
        raise ValueError(f"--iterations must be above 0, not {options.iterations}")


def _num_trials(options: Options) -> int:
    """That each agent is scored on."""
    from experiments.reproduce_kinds import KINDS

    by_default = KINDS[options.table].num_trials
    return by_default if options.trials is None else options.trials


def _planned(options: Options) -> dict[str, Any]:
    """What is to be done in each chosen row, by CELL/AGENT."""
    from experiments.reproduce_agents import plan_of
    from experiments.reproduce_cells import cells_of, chosen

    cells = cells_of(options.table)
    names = chosen("cell", options.cells, list(cells))
    training = options.budget, options.iterations
    of_cell = {name: plan_of(cells[name], *training) for name in names}
    agents = list(dict.fromkeys(agent for plan in of_cell.values() for agent in plan))
    agents = chosen("agent", options.agents, agents)
    return {
        f"{name}/{agent}": plan[agent]
        for name, plan in of_cell.items()
        for agent in agents
        if agent in plan
    }


def _learned(planned: dict[str, Any], options: Options) -> dict[str, Any]:
    """The rows of learned agents; raises ValueError if there are none."""
    from experiments.comparison import learns
    from experiments.experiment import Experiment
    from experiments.reproduce_cells import cells_of
    from experiments.reproduce_kinds import KINDS

    is_learned = lambda plan: isinstance(plan, Experiment) and learns(plan)
    learned = {name: plan for name, plan in planned.items() if is_learned(plan)}
    if not learned:
        cell = next(iter(cells_of(options.table).values()))
        agents = KINDS[options.table].agents(cell, options.budget, None)
        names = ", ".join(name for name, plan in agents.items() if learns(plan))
        raise ValueError(f"--estimate times learned agents: choose from {names}")
    return learned


def _write_tables(options: Options) -> None:
    from experiments.reproduce_docs import update

    with cli.clear_errors():
        for path in update(options.docs, options.out):
            print(f"wrote {path}")


if __name__ == "__main__":
    main()
