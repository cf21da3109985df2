"""The tables of the reproduction, and those of them in docs."""

import json
from pathlib import Path

import pytest

from experiments.reproduce_agents import plan_of
from experiments.reproduce_cells import CELLS, LOCOMOTION, TABLES
from experiments.reproduce_docs import kept, section, update, with_section
from experiments.reproduce_locomotion_tables import draw
from experiments.reproduce_stored import Stored
from experiments.reproduce_tables import OPTIMUM, tables

DOCS = Path(__file__).parents[1] / "docs"
COST = {
    "env_steps": 1e6,
    "seconds_per_seed": 30.0,
    "seconds_per_iteration": None,
    "num_seeds": 1,
}
TOTALS = [cell for cell in CELLS.values() if cell.table != LOCOMOTION]


def scored(mean, half_width, **fields):
    interval = [mean - half_width, mean + half_width]
    return {"mean": mean, "interval": interval, **fields}


def test_entry_shows_ours_published_and_percentage():
    text = tables(
        "bandits",
        Stored(
            {
                "bandit-n10-k5/optimum": {"mean": 6.66, "what": "Bayes-optimal"},
                "bandit-n10-k5/maml": scored(
                    *(6.327, 0.05),
                    env_steps=1.2e6,
                    seconds_per_seed=60.0,
                    seconds_per_iteration=0.1234,
                    num_seeds=3,
                ),
                "bandit-n100-k5/maml": {"failed": "no memory"},
                "bandit-n10-k5/ucb1": scored(
                    *(6.6, 0.02),
                    setting=0.2,
                    mean_by_setting={"0.2": 6.6, "1.0": 6.61},
                    as_published=scored(6.61, 0.02, setting=1.0),
                ),
            },
            {"bandit-n500-k5/maml": {"seconds_per_iteration": 2.5, "seconds": 7200}},
        ),
    )
    assert "| bandit-n10-k5 | 6.660 | " in text
    assert "6.33 ± 0.05 [6.5] 95.0% |" in text
    assert "6.60 ± 0.02 [6.7] 99.1% |" in text
    assert "| bandit-n10-k5 | 0.2; 1: 6.61 ± 0.02 |" in text
    assert "1.2 M, 60 s, 3 seeds, 0.123 s an iteration |" in text
    assert "| failed: no memory [67.1] |" in text
    assert "| not run (2.5 s an iteration, 2.0 h in all) |" in text
    assert "| not run [70.1] |" in text


def test_best_index_is_the_reference_of_long_bandits():
    text = tables(
        "bandits",
        Stored(
            {
                "bandit-n100-k5/gittins": scored(78.0, 0.1),
                "bandit-n100-k5/finite_horizon_gittins": scored(80.0, 0.1),
                "bandit-n100-k5/maml": scored(60.0, 1.0) | COST,
            },
            {},
        ),
    )
    assert "| bandit-n100-k5 | 80.00 ± 0.10 (index) |" in text
    assert "60.00 ± 1.00 [67.1] 75.0% |" in text


def test_table_of_gridnavi_is_by_episode():
    row = scored(2.5, 0.25) | COST
    row |= {"mean_by_stage": [1.0, 1.5], "interval_by_stage": [[0.9, 1.1], [1.4, 1.6]]}
    text = tables("gridnavi", Stored({"gridnavi/maml": row}, {}))
    assert text == (
        "|  | in all | episode 1 | episode 2 |\n"
        "| --- | --- | --- | --- |\n"
        "| optimum | not run |  |  |\n"
        "| rl2_gru | not run |  |  |\n"
        "| rl2_fast_weights | not run |  |  |\n"
        "| rl2_trpo | not run |  |  |\n"
        "| transformer | not run |  |  |\n"
        "| snail | not run |  |  |\n"
        "| maml | 2.50 ± 0.25 | 1.00 ± 0.10 | 1.50 ± 0.10 |\n\n"
        "What training took:\n\n"
        "|  | rl2_gru | rl2_fast_weights | rl2_trpo | transformer | snail | maml |\n"
        "| --- | --- | --- | --- | --- | --- | --- |\n"
        "| gridnavi | not run | not run | not run | not run | not run "
        "| 1.0 M, 30 s, 1 seed |\n"
    )


@pytest.mark.parametrize("cell", TOTALS, ids=lambda cell: cell.name)
def test_every_agent_that_is_run_has_a_place_in_the_tables(cell):
    means = {name: 1000.0 + i for i, name in enumerate(plan_of(cell, "small"))}
    rows = {f"{cell.name}/{name}": full_row(mean) for name, mean in means.items()}
    rows.get(f"{cell.name}/{OPTIMUM}", {})["what"] = "exact"
    text = tables(cell.table, Stored(rows, {}))
    missing = [name for name, mean in means.items() if f"{mean:.2f} ±" not in text]
    assert not missing


def robot_row(*returns, **fields):
    """Of two seeds and three tasks that all return the same, by step."""
    return {
        "return_by_step": returns,
        "interval_by_step": [[value - 1, value + 1] for value in returns],
        "returns": [[list(returns)] * 3] * 2,
        "learning_curve": {
            "env_steps": [10, 20],
            "before": [[0.0, 1.0]] * 2,
            "after": [[1.0, 2.0]] * 2,
        },
    } | (COST | fields)


ROBOTS = {
    "ant_velocity/random": robot_row(-100.0, -90.0, -80.0, -70.0, env_steps=0),
    "ant_velocity/oracle": robot_row(100.0),
    "ant_velocity/maml": robot_row(0.0, 80.0, 90.0, 110.0),
    "ant_direction/maml": robot_row(1.0, 2.0, 3.0, 4.0),
    "ant_direction/promp": {"failed": "no | memory"},
}


def test_robots_are_normalised_beside_the_published():
    estimate = {"seconds_per_iteration": 2.5, "seconds": 7200}
    text = tables(LOCOMOTION, Stored(ROBOTS, {"ant_direction/oracle": estimate}))
    assert (
        "| ant_velocity | maml | 0.0 [-1.0, 1.0] | 80.0 [79.0, 81.0] | "
        "90.0 [89.0, 91.0] | 110.0 [109.0, 111.0] |"
    ) in text
    assert (
        "| ant_velocity | maml | 50% (50, 50) [59%] | 90% (90, 90) [94%] | "
        "95% (95, 95) [96%] | 105% (105, 105) [97%] |"
    ) in text
    assert "| ant_velocity | random | 0% (0, 0) [0%] | 5% (5, 5) [8%] |" in text
    assert "| ant_velocity | oracle | 100% (100, 100) [100%] |  |  |  |" in text
    assert "| ant_direction | maml | [1%] | [95%] | [95%] | [95%] |" in text
    assert "| ant_direction | promp | failed: no / memory |  |  |  |" in text
    assert "not run (2.5 s an iteration, 2.0 h in all)" in text


def test_scores_on_other_tasks_are_not_normalised():
    other = robot_row(0.0, 80.0) | {"returns": [[[0.0, 80.0]] * 4]}
    text = tables(LOCOMOTION, Stored(ROBOTS | {"ant_velocity/maml": other}, {}))
    said = "other --trials: score again"
    assert f"| ant_velocity | maml | {said} [59%] | [94%] |" in text


def test_scores_have_no_scale_where_the_oracle_is_no_better_than_random():
    weak = ROBOTS | {"ant_velocity/oracle": robot_row(-100.0)}
    text = tables(LOCOMOTION, Stored(weak, {}))
    assert "| maml | oracle no better than random [59%] | [94%] |" in text
    assert "nan" not in text


def test_robots_are_drawn_by_family(tmp_path):
    drawn = draw(Stored(ROBOTS, {}), tmp_path / "figures")
    names = ["locomotion_learning.png", "locomotion_adaptation.png"]
    assert [path.name for path in drawn] == names
    assert all(path.exists() for path in drawn)
    assert draw(Stored({}, {}), tmp_path) == []


def full_row(mean):
    """With the fields of all kinds of agents."""
    stages = {"mean_by_stage": [mean], "interval_by_stage": [[mean - 1, mean + 1]]}
    tuned = {"mean_by_setting": {"0.0": mean}, "setting": 0.0}
    return scored(mean, 0.5) | stages | tuned | COST


@pytest.mark.parametrize("table", TABLES)
def test_table_in_docs_is_that_of_the_results_kept_there(table):
    page = (DOCS / "results.md").read_text()
    assert section(page, table) == tables(table, kept(DOCS, table)).strip()


def test_update_merges_scores_and_estimates_into_docs(tmp_path):
    docs, out = tmp_path / "docs", tmp_path / "out"
    docs.mkdir()
    marks = [f"<!-- {table} -->\n<!-- end of {table} -->" for table in TABLES]
    (docs / "results.md").write_text("\n\n".join(["# Results", *marks, "The end."]))
    estimate = {"seconds_per_iteration": 2.5, "seconds": 7200}
    store(out / "estimates", "gridnavi/maml", estimate)
    store(out / "estimates", "gridnavi/snail", estimate)

    figure = docs / "figures" / "gridnavi.png"
    data = [docs / "data" / "reproduce" / f"{table}.json" for table in TABLES]
    assert list(update(docs, out)) == [*data, docs / "results.md"]
    assert kept(docs, "gridnavi").estimates.keys() == {
        "gridnavi/maml",
        "gridnavi/snail",
    }

    optimum = {"mean": 3.0, "mean_by_stage": [1.0, 2.0], "goal_known": 2.5}
    store(out, "gridnavi/optimum", optimum)
    store(out, "gridnavi/maml", full_row(1.5))
    assert set(update(docs, out)) == {*data, figure, docs / "results.md"}
    assert figure.exists()
    assert kept(docs, "gridnavi") == Stored(
        {"gridnavi/optimum": optimum, "gridnavi/maml": full_row(1.5)},
        {"gridnavi/snail": estimate},
    )
    page = (docs / "results.md").read_text()
    assert "| maml | 1.50 ± 0.50 |" in section(page, "gridnavi")
    assert section(page, "mdps") == tables("mdps", Stored({}, {})).strip()
    assert page.startswith("# Results") and page.endswith("The end.")

    list(update(docs, tmp_path / "empty"))
    assert (docs / "results.md").read_text() == page


def store(out, name, row):
    """Writes the row.json of CELL/AGENT."""
    (out / name).mkdir(parents=True)
    (out / name / "row.json").write_text(json.dumps(row))


def test_missing_marker_is_named():
    with pytest.raises(ValueError, match="lacks <!-- bandits -->"):
        with_section("# Results\n", "bandits", "table")
