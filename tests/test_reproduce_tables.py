"""The tables of the reproduction, and those of them in docs."""

from pathlib import Path

import pytest

from experiments.reproduce_cells import TABLES
from experiments.reproduce_docs import kept, section, with_section
from experiments.reproduce_tables import Stored, tables

DOCS = Path(__file__).parents[1] / "docs"
COST = {
    "env_steps": 1e6,
    "seconds_per_seed": 30.0,
    "seconds_per_iteration": None,
    "num_seeds": 1,
}


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
    assert "| failed: no memory |" in text
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
        "| transformer | not run |  |  |\n"
        "| snail | not run |  |  |\n"
        "| maml | 2.50 ± 0.25 | 1.00 ± 0.10 | 1.50 ± 0.10 |\n\n"
        "What training took:\n\n"
        "|  | rl2_gru | transformer | snail | maml |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| gridnavi | not run | not run | not run | 1.0 M, 30 s, 1 seeds |\n"
    )


@pytest.mark.parametrize("table", TABLES)
def test_table_in_docs_is_that_of_the_results_kept_there(table):
    page = (DOCS / "results.md").read_text()
    assert section(page, table) == tables(table, kept(DOCS, table)).strip()


def test_missing_marker_is_named():
    with pytest.raises(ValueError, match="lacks <!-- bandits -->"):
        with_section("# Results\n", "bandits", "table")
