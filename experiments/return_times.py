"""Seconds until a return is reached, by row: the table and the figure."""

import dataclasses
import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from experiments.row_folder import (
    RowFolder,
    failure_cell,
    good,
    markdown,
    write_table,
)
from experiments.timed_training import measure
from metarl_jax import plots
from metarl_jax.run_files import replace_file, write_json

_COLUMNS = (
    *("reached", "seconds", "training_seconds", "evaluation_seconds"),
    *("iterations", "env_steps", "score", "failed"),
)
_LEGEND = """\
s: wall-clock seconds from the start of a process that finds nothing compiled, until the
mean return on the held-out tasks ({tasks}, {episodes} episodes each; number of
adaptation steps: {steps}) is {target} or more in a test, which comes every {period}
training iterations. Of these: start-up (imports, building), training and tests, the
last two with compiling. Iterations, environment steps and the return are those at the
end. The number after a name is that of the seed.
"""


@dataclasses.dataclass(frozen=True)
class ReturnTimes(RowFolder):
    """Rows that are trained until their return on held-out tasks is `target`."""

    target: float

    def prepare(self, names: list[str]) -> None:
        """Makes the folders of these rows.

        Raises:
          ValueError: if the folder is one of another target or configuration.
        """
        path = self.path / "target.json"
        if path.exists() and json.loads(path.read_text()) != self.target:
            raise ValueError(
                f"{self.path} holds times to a return of {path.read_text()}: choose "
                "another --out, or remove it"
            )
        super().prepare(names)
        write_json(path, self.target)

    def program(self, name: str) -> Callable[[], None]:
        """What the process of a row does; to be made when it is started."""
        experiment = self.planned[name]
        return partial(measure, self.path, name, experiment, self.target, time.time())

    def write(self) -> None:
        """Writes the table and the figure of the rows that are done."""
        rows = self.rows()
        write_json(self.path / "results.json", rows)
        text = f"{self.table()}\n\n{self._legend()}"
        replace_file(self.path / "table.md", text.encode())
        lines = [[name, *map(row.get, _COLUMNS)] for name, row in rows.items()]
        write_table(self.path / "table.csv", ("row", *_COLUMNS), lines)
        curves = {}
        for name in good(rows):
            of_all_seeds = curves.setdefault(name.rpartition("_")[0], [])
            of_all_seeds.append(self._curve(name))
        if curves:
            figure = plots.returns_against_time(curves, self.target)
            figure.savefig(self.path / "return.png", dpi=150)

    def table(self) -> str:
        """The rows in Markdown: seconds in all and of each part, and the return."""
        heads = [
            *("", "s", "start-up", "training", "tests"),
            *("iterations", "steps", "return"),
        ]
        lines = [[name, *_cells(row)] for name, row in self.rows().items()]
        return markdown(heads, lines)

    def _legend(self) -> str:
        experiment = next(iter(self.planned.values()))
        return _LEGEND.format(
            tasks=experiment.evaluation.task_set,
            episodes=experiment.evaluation.num_episodes,
            steps=experiment.evaluation.num_adaptation_steps,
            target=self.target,
            period=experiment.training.iterations_per_chunk,
        )

    def _curve(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Seconds and scores of all tests, [I] each."""
        path = self.path / name / "curve.csv"
        table = np.genfromtxt(path, delimiter=",", names=True, ndmin=1)
        return table["seconds"], table["score"]


def _cells(row: dict[str, Any]) -> list[str]:
    if "failed" in row:
        return [failure_cell(row)]
    steps = f"{row['env_steps'] / 1e6:.2f} M"
    parts = row["training_seconds"], row["evaluation_seconds"]
    start_up = row["seconds"] - sum(parts)
    return [
        f"{row['seconds']:.1f}" if row["reached"] else f"not within {steps} steps",
        *(f"{seconds:.1f}" for seconds in (start_up, *parts)),
        str(row["iterations"]),
        steps,
        f"{row['score']:.2f}",
    ]
