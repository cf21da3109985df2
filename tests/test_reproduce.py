"""The reproduction of published tables: what is run, and that nothing is run twice."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import reproduce_folder, rows
from experiments.published import bandit_scores, mdp_scores
from experiments.reproduce import Options, plan
from experiments.reproduce_agents import OptimumPlan, plan_of
from experiments.reproduce_cells import CELLS, LOCOMOTION, bandit_cell, cells_of
from experiments.reproduce_folder import (
    Estimates,
    Reproduction,
    estimates_in,
    score,
    stored,
)
from experiments.reproduce_learners import (
    BUDGETS,
    LEARNERS,
    budget_of,
    experiment,
    learners,
)
from experiments.reproduce_tables import LEARNED
from metarl_jax import platform

ROOT = Path(__file__).parents[1]
TINY = bandit_cell(num_pulls=10, num_arms=2)
IN_STAGES = [cell for cell in CELLS.values() if cell.table != LOCOMOTION]


def tiny_maml(num_iterations=2):
    trained = experiment(TINY, "maml", "small")
    training = dataclasses.replace(
        trained.training, num_iterations=num_iterations, num_tasks=2, num_seeds=2
    )
    return dataclasses.replace(trained, training=training)


def folder(out, planned, num_trials=8):
    return Reproduction(out, planned, "bandits", num_trials, "the command")


def test_published_scores_are_found_by_cell_and_agent():
    assert bandit_scores()[10, 5]["ucb1"].total == 6.7
    assert bandit_scores()[500, 5]["maml"].total is None
    assert mdp_scores()[10]["snail"] == (159.1, 0.766)
    assert mdp_scores()[25]["maml"] == (None, 0.591)


def test_every_published_cell_is_there():
    assert len(CELLS) == 10 + 5 + 1 + 4
    assert CELLS["mdp-N100"].num_steps == 1000


@pytest.mark.parametrize(
    "cell, agent",
    [(cell, agent) for cell in IN_STAGES for agent in learners(cell)],
    ids=lambda each: getattr(each, "name", each),
)
def test_learner_lives_through_exactly_one_trial(cell, agent):
    trained = experiment(cell, agent, "small")
    steps = trained.environment_options.get("horizon", cell.horizon)
    tested = trained.evaluation
    num_steps = (tested.num_adaptation_steps + 1) * tested.num_episodes * steps
    assert num_steps == cell.num_steps


@pytest.mark.parametrize(
    ("name", "discount", "learning_rate", "final_fraction", "activation"),
    [
        ("mdp-N10/rl2_gru", 1.0, 8e-3, 0.0, "bilinear"),
        ("mdp-N100/rl2_fast_weights", 0.99, 8e-3, 0.25, "bilinear"),
        ("bandit-n10-k50/rl2_gru", 1.0, 3e-3, 0.0, "relu"),
        ("bandit-n100-k5/rl2_gru", 1.0, 3e-3, 0.0, "relu"),
        ("bandit-n100-k10/rl2_gru", 0.98, 4e-3, 0.0, "bilinear"),
        ("bandit-n500-k5/snail", 0.99, 1e-3, 0.0, "bilinear"),
        ("gridnavi/rl2_gru", 1.0, 3e-3, 0.0, "relu"),
    ],
)
def test_rl2_has_the_settings_of_its_cell(
    name, discount, learning_rate, final_fraction, activation
):
    cell, agent = name.split("/")
    algorithm = experiment(CELLS[cell], agent, "small").algorithm
    assert algorithm.discount == discount
    assert algorithm.outer.learning_rate == learning_rate
    assert algorithm.outer.final_fraction == final_fraction
    assert algorithm.embedding_activation == activation


@pytest.mark.parametrize(
    "name, credit, normalized_over",
    [
        ("mdp-N100/rl2_tabular", "regret", "tasks"),
        ("bandit-n500-k5/rl2_tabular", "regret", "tasks"),
        ("bandit-n100-k5/rl2_tabular", "reward", "trials"),
        ("bandit-n10-k5/rl2_tabular", "reward", "trials"),
        ("mdp-N100/rl2_gru", "reward", "trials"),
    ],
)
def test_tabular_memories_learn_from_regret(name, credit, normalized_over):
    cell, agent = name.split("/")
    algorithm = experiment(CELLS[cell], agent, "small").algorithm
    assert algorithm.credit == credit
    assert algorithm.outer.normalized_over == normalized_over


@pytest.mark.parametrize("budget", BUDGETS)
def test_every_budget_is_that_of_some_agent(budget):
    used = [
        budget_of(cell, agent, budget) for cell in IN_STAGES for agent in learners(cell)
    ]
    assert all(any(size is one for one in used) for size in BUDGETS[budget].values())


def test_tables_are_kept_where_states_and_actions_can_be_counted():
    assert "rl2_tabular" in learners(CELLS["mdp-N10"])
    assert "rl2_tabular" in learners(CELLS["bandit-n10-k5"])
    assert "rl2_tabular" not in learners(CELLS["gridnavi"])
    assert set(learners(CELLS["gridnavi"])) == set(LEARNERS) - {"rl2_tabular"}


def test_agent_that_cannot_learn_in_a_cell_is_refused_with_the_choices():
    with pytest.raises(ValueError, match="no agent 'rl2_tabular' in gridnavi; choose"):
        experiment(CELLS["gridnavi"], "rl2_tabular", "small")


def test_learners_are_in_the_order_of_the_tables():
    assert tuple(LEARNERS) == LEARNED


@pytest.mark.parametrize(
    "options, message",
    [
        (
            {"table": "bandit"},
            "no table 'bandit'; choose from bandits, .*, locomotion, tables",
        ),
        (
            {"cells": "bandit-n11*"},
            r"no cell 'bandit-n11\*'; choose from bandit-n10",
        ),
        ({"agents": "mamla"}, "no agent 'mamla'; choose from .*maml"),
        ({"budget": "huge"}, "no budget 'huge'; choose from small, paper"),
        ({"trials": 501}, "--trials .* multiple of it, not 501"),
        ({"trials": 0}, "--trials must be above 0"),
        ({"estimate": -1}, "--estimate must be 0 or more"),
        ({"iterations": 0}, "--iterations must be above 0, not 0"),
        (
            {"table": "locomotion", "budget": "huge"},
            "no budget 'huge'; choose from small, paper",
        ),
        ({"table": "locomotion", "trials": 0}, "--trials must be above 0, not 0"),
        (
            {"table": "locomotion", "agents": "random", "estimate": 3},
            "learned agents: choose from oracle, multi_task, maml, promp, anil",
        ),
        ({"table": "locomotion", "agents": "rl2"}, "no agent 'rl2'; .* random, oracle"),
        (
            {"agents": "ucb1", "estimate": 3},
            "--estimate times learned agents: choose from rl2_gru, .*maml",
        ),
    ],
)
def test_bad_options_are_refused_with_the_choices(options, message):
    with pytest.raises(ValueError, match=message):
        plan(Options(**{"table": "bandits"} | options), "")


def test_cells_and_agents_are_chosen_by_pattern():
    options = Options("bandits", cells="bandit-n10-*,bandit-n100-k5", agents="ma*")
    _, names = plan(options, "")
    assert names == [
        "bandit-n10-k5/maml",
        "bandit-n10-k10/maml",
        "bandit-n10-k50/maml",
        "bandit-n100-k5/maml",
    ]


@pytest.mark.parametrize(
    "table, trials, expected",
    [
        ("bandits", None, 10_000),
        ("locomotion", None, 40),
        ("locomotion", 600, 600),  # no multiple of a block: they have none
    ],
)
def test_trials_are_as_many_as_the_table_has_by_default(table, trials, expected):
    results, _ = plan(Options(table, trials=trials), "")
    assert results.num_trials == expected


def test_iterations_take_the_place_of_the_budget():
    of_bandit = plan_of(TINY, "small", 7)["maml"]
    assert of_bandit.training.num_iterations == 7
    assert of_bandit.algorithm.outer.decay_iterations == 7


@pytest.mark.parametrize("budget", ["small", "paper"])
def test_robots_see_the_same_data_whether_they_adapt_or_not(budget):
    (cell, *_) = cells_of(LOCOMOTION).values()
    planned = plan_of(cell, budget, 7)
    steps = {
        name: row.training.num_iterations * (row.algorithm.num_adaptation_steps + 1)
        for name, row in planned.items()
    }
    assert steps == {"random": 2} | dict.fromkeys(
        ["oracle", "multi_task", "maml", "promp", "anil"], 14
    )
    assert planned["oracle"].observe_task and not planned["multi_task"].observe_task
    tested = {name: row.evaluation for name, row in planned.items()}
    assert tested["oracle"].num_adaptation_steps == 0
    assert {
        tested[name].num_adaptation_steps for name in tested if name != "oracle"
    } == {3}
    assert len({row.algorithm.network for row in planned.values()}) == 1


def test_help_needs_no_jax():
    program = (
        "import sys; from experiments.reproduce import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: assert 'jax' not in sys.modules"
    )
    subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True
    )


def test_finished_row_is_not_done_again_unless_more_trials_are_wanted(tmp_path):
    name = "tiny/maml"
    planned = {name: tiny_maml()}
    first = folder(tmp_path, planned)
    first.prepare([name])
    score(first, name)
    row = json.loads((tmp_path / name / "row.json").read_text())
    assert row["num_trials"] == 8 and row["num_seeds"] == 2
    assert row["env_steps"] == 2 * 2 * TINY.num_steps
    assert row["mean"] == pytest.approx(sum(row["mean_by_stage"]))
    assert row["command"] == "the command"

    (tmp_path / name / "row.json").write_text(json.dumps(row | {"mean": -1.0}))
    rows.run_rows([name], first)
    assert stored(tmp_path).rows[name]["mean"] == -1.0
    more = folder(tmp_path, planned, num_trials=16)
    assert not more.is_done(name)
    score(more, name)
    again = stored(tmp_path).rows[name]
    assert again["num_trials"] == 16 and more.is_done(name)
    assert again["env_steps"] == row["env_steps"]


def test_estimate_times_iterations_without_compiling():
    assert reproduce_folder.seconds_per_iteration(tiny_maml(), 1) > 0


def test_estimate_is_done_again_only_for_another_number_of_iterations(
    tmp_path, monkeypatch
):
    name = "tiny/maml"
    monkeypatch.setattr(reproduce_folder, "seconds_per_iteration", lambda *_: 0.5)
    monkeypatch.setattr(platform, "configure", lambda: None)
    estimates = lambda num_timed: Estimates(
        estimates_in(tmp_path), {name: tiny_maml()}, "bandits", num_timed, "the command"
    )
    estimates(3).prepare([name])
    assert not estimates(3).is_done(name)
    estimates(3).program(name)()
    estimate = stored(tmp_path).estimates[name]
    assert estimate["seconds"] == 0.5 * 2 and estimate["num_timed_iterations"] == 3
    assert stored(tmp_path).rows == {}
    assert estimates(3).is_done(name) and not estimates(4).is_done(name)


def test_another_configuration_is_refused(tmp_path):
    name = "tiny/maml"
    folder(tmp_path, {name: tiny_maml()}).prepare([name])
    other = folder(tmp_path, {name: tiny_maml(num_iterations=3)})
    with pytest.raises(ValueError, match="holds another configuration"):
        other.prepare([name])


def test_optimum_of_a_bandit_of_two_pulls_and_two_arms(tmp_path):
    # a first pull of 1/2; then the same arm (2/3) if it paid, or the other (1/2)
    name = "tiny/optimum"
    results = folder(tmp_path, {name: OptimumPlan(bandit_cell(2, 2))})
    results.prepare([name])
    score(results, name)
    assert stored(tmp_path).rows[name]["mean"] == pytest.approx(13 / 12)
    assert results.is_done(name)
