"""The tables of the reproduction in docs/results.md, from results kept beside it."""

import json
from collections.abc import Iterator
from pathlib import Path

from experiments.reproduce_cells import GRID_NAVI, LOCOMOTION, TABLES, cells_of
from experiments.reproduce_folder import stored
from experiments.reproduce_locomotion_tables import draw
from experiments.reproduce_stored import Stored
from experiments.reproduce_tables import OPTIMUM, tables
from experiments.row_folder import good
from metarl_jax import plots
from metarl_jax.run_files import replace_file, write_json


def update(docs: Path, out: Path) -> Iterator[Path]:
    """Adds what is stored in a folder to the results in docs, and renders the tables.

    Args:
      docs: with results.md, in which each table has its place between the markers
        `<!-- bandits -->` and `<!-- end of bandits -->`, and so on.
      out: what is stored here takes the place of older results of the same rows.

    Yields:
      The files that were written.

    Raises:
      ValueError: if results.md lacks a marker.
      OSError: if it cannot be read or written.
    """
    new = stored(out)
    page = docs / "results.md"
    text = page.read_text()
    for table in TABLES:
        results = _merged(kept(docs, table), new, table)
        text = with_section(text, table, tables(table, results))
        path = _data(docs, table)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, results._asdict())
        yield path
        if table in _FIGURES:
            yield from _FIGURES[table](results, docs / "figures")
    replace_file(page, text.encode())
    yield page


def _draw_gridnavi(results: Stored, folder: Path) -> Iterator[Path]:
    """Draws returns by episode, if any learned agent was scored."""
    rows = good(results.rows)
    optimum = rows.pop(f"{GRID_NAVI.name}/{OPTIMUM}", None)
    if optimum is None or not rows:
        return
    curves = {
        name.partition("/")[2]: {
            "return_by_step": row["mean_by_stage"],
            "interval_by_step": row["interval_by_stage"],
        }
        for name, row in rows.items()
    }
    references = {
        "Bayes-optimal": optimum["mean_by_stage"],
        "goal known": [optimum["goal_known"]],
    }
    path = folder / "gridnavi.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    figure = plots.adaptation_curve(curves, references, step="episodes before")
    figure.savefig(path, dpi=150)
    yield path


# table -> (results, folder) -> the figures that were drawn
_FIGURES = {GRID_NAVI.table: _draw_gridnavi, LOCOMOTION: draw}


def kept(docs: Path, table: str) -> Stored:
    """The results that the table in docs was rendered from."""
    path = _data(docs, table)
    return Stored(**json.loads(path.read_text())) if path.exists() else Stored({}, {})


def section(page: str, name: str) -> str:
    """What stands between the markers of this name; raises as `with_section`."""
    return _parts(page, name)[1].strip()


def with_section(page: str, name: str, content: str) -> str:
    """The page with other content between the markers of this name.

    Raises:
      ValueError: if a marker is missing.
    """
    before, _, after = _parts(page, name)
    return f"{before}\n\n{content.strip()}\n\n{after}"


def _parts(page: str, name: str) -> tuple[str, str, str]:
    """The page up to and with the first marker, up to the second, and from there."""
    start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, found, rest = page.partition(start)
    content, ended, after = rest.partition(end)
    if not found or not ended:
        raise ValueError(f"the page lacks {start} and {end}: add a line with each")
    return before + start, content, end + after


def _merged(old: Stored, new: Stored, table: str) -> Stored:
    """Rows of one table; a row that was scored needs no estimate."""
    cells = cells_of(table)
    of_table = lambda rows: {k: v for k, v in rows.items() if k.split("/")[0] in cells}
    rows = old.rows | of_table(new.rows)
    estimates = old.estimates | of_table(new.estimates)
    return Stored(rows, {k: v for k, v in estimates.items() if k not in rows})


def _data(docs: Path, table: str) -> Path:
    return docs / "data" / "reproduce" / f"{table}.json"
