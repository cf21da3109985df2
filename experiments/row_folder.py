"""A folder of rows: experiments that are run one by one and shown in one table."""

import contextlib
import csv
import dataclasses
import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from experiments.cli import Interrupted, one_line
from experiments.run_directory import RunDirectory, is_of
from metarl_jax.run_files import read_json, replace_file, write_json


@dataclasses.dataclass(frozen=True)
class RowFolder:
    """A run directory for each row, in which row.json tells how it ended.

    What a row does, and the table, is for those that derive from it to say:
    `program(name)` is what its process calls, `table()` the rows in Markdown, and
    `write()` leaves all tables and figures.
    """

    path: Path
    # dataclasses, of every row that is run or shown, in the order of the table
    planned: dict[str, Any]

    def prepare(self, names: list[str]) -> None:
        """Makes the folders of these rows.

        Raises:
          ValueError: if one holds a run of another configuration.
        """
        for name in names:
            directory = RunDirectory(self.path / name)
            if not directory.config.exists():
                directory.create(name, self.planned[name])
            elif not self._is_as_planned(name):
                raise ValueError(
                    f"{directory.path} holds another configuration: choose another "
                    "--out, or remove it"
                )

    def is_done(self, name: str) -> bool:
        return self._row_file(name).exists() and not self.has_failed(name)

    def has_failed(self, name: str) -> bool:
        path = self._row_file(name)
        return path.exists() and "failed" in read_json(path)

    def record(self, name: str, row: dict[str, Any]) -> None:
        write_json(self._row_file(name), row)

    def record_failure(self, name: str, reason: str) -> None:
        self.record(name, {"failed": " ".join(reason.split())})

    def forget_failure(self, name: str) -> None:
        self._row_file(name).unlink(missing_ok=True)

    def rows(self) -> dict[str, dict[str, Any]]:
        """What is known of the rows that were run as planned, by whatever command."""
        return {
            name: read_json(self._row_file(name))
            for name in self.planned
            if self._row_file(name).exists() and self._is_as_planned(name)
        }

    def _row_file(self, name: str) -> Path:
        return self.path / name / "row.json"

    def _is_as_planned(self, name: str) -> bool:
        saved = RunDirectory(self.path / name).stored()
        return is_of(saved, name, self.planned[name])


@contextlib.contextmanager
def failures_recorded(folder: RowFolder, name: str) -> Iterator[None]:
    """Ends the process of a row with 1 if it fails, and 130 if it is interrupted.

    What is not a matter of numbers or values is raised again, for its traceback.
    """
    try:
        yield
    except (Interrupted, KeyboardInterrupt):
        raise SystemExit(130) from None
    except (FloatingPointError, ValueError) as error:
        folder.record_failure(name, str(error))
        print(f"{name} failed: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except Exception as error:
        folder.record_failure(name, one_line(error))
        raise


def good(rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The rows that have not failed."""
    return {name: row for name, row in rows.items() if "failed" not in row}


def failure_cell(row: dict[str, Any]) -> str:
    """The reason of a failure, as a cell of a table in Markdown."""
    return f"failed: {row['failed'].replace('|', '/')}"


def markdown(heads: list[str], lines: list[list[str]]) -> str:
    """A table; lines that are too short are filled up."""
    width = len(heads)
    filled = [line + [""] * (width - len(line)) for line in lines]
    table = [heads, ["---"] * width, *filled]
    return "\n".join(f"| {' | '.join(line)} |" for line in table)


def write_table(path: Path, heads: Sequence[str], lines: Iterable[Sequence]) -> None:
    """Writes a table as CSV."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows([heads, *lines])
    replace_file(path, text.getvalue().encode())
