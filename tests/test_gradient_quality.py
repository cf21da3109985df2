"""Measures of estimates with known answers, and estimators on a random MDP."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import probe
import pytest

from experiments import formulations
from experiments import gradient_quality as command
from metarl_jax import exact, gradient_quality, surrogates
from metarl_jax.gradient_quality import Problem, Setting, quality
from metarl_jax.losses import AdvantageConfig, advantages

S, A = 3, 2
SETTING = Setting(horizon=4, discount=0.9, step_size=8.0)


def problem():
    mdp = probe.random_mdp(2, S, A)._replace(initial=jnp.array([0.2, 0.5, 0.3]))
    logits = jnp.asarray(probe.random_logits(2, S, A), jnp.float32)
    mdp = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), mdp)
    return Problem(mdp, logits, logits)


def credit(**config):
    config = {"discount": 0.9, "normalize": False, "weigh_by_discount": True} | config
    return advantages(AdvantageConfig(**config))


def test_quality_of_estimates_around_a_biased_mean():
    truth = np.array([3.0, -4.0])
    found = quality(truth + np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 5.0]]), truth)
    np.testing.assert_allclose(found.bias, (5 / 3) / 5)
    np.testing.assert_allclose(found.std, np.sqrt(1 + 25 / 3) / 5)
    np.testing.assert_allclose(found.standard_error, found.std / np.sqrt(3))


def test_cosine_and_correlation_differ_by_the_mean():
    truth = np.array([1.0, 0.0, 0.0])
    found = quality([[2.0, 1.0, 1.0]] * 2, truth)
    np.testing.assert_allclose(found.cosine, 2 / np.sqrt(6))
    np.testing.assert_allclose(found.correlation, 1)


def test_zero_estimates_have_no_cosine_and_the_whole_length_as_bias():
    found = quality(np.zeros((2, 3)), np.array([1.0, 2.0, 3.0]))
    assert found.cosine == 0 and found.std == 0
    np.testing.assert_allclose(found.bias, 1)


def test_sampled_states_and_rewards_follow_the_mdp():
    mdp, logits, _ = problem()
    sample = lambda key: gradient_quality.sample_rollout(key, mdp, logits, 4, 40_000)
    rollout = jax.device_get(jax.jit(sample)(jax.random.key(0)))
    frequencies = np.mean(rollout.observation, axis=1)
    probabilities = jax.jit(exact.state_probabilities, static_argnums=2)
    expected_return = jax.jit(exact.expected_return, static_argnums=2)
    np.testing.assert_allclose(frequencies, probabilities(mdp, logits, 4), atol=0.012)
    np.testing.assert_allclose(
        gradient_quality.mean_reward(rollout, 0.9) * 4,
        expected_return(mdp, logits, 4, 0.9),
        rtol=0.02,
    )
    np.testing.assert_array_equal(rollout.truncated.sum(axis=0), 1)


@cache
def derivatives():
    """Estimates of a few surrogates, `name -> {quantity: [R, ...]}`, and the truth."""
    here = problem()
    outer = gradient_quality.estimator(surrogates.likelihood_ratio, credit(), S)
    named = {
        "dice": surrogates.dice,
        "taypo2": surrogates.taypo2,
        "loaded_dice": surrogates.loaded_dice,
        "likelihood_ratio": surrogates.likelihood_ratio,
        "log_probability": surrogates.log_probability,
        "dice, no baseline": surrogates.dice,
    }
    fitted, none = credit(), credit(baseline="none")  # none for the last

    def one(meta_key, data, index):
        """With the surrogate of this number, so that the rest is compiled once."""
        inner = gradient_quality.estimator(
            lambda *arguments: jax.lax.switch(index, list(named.values()), *arguments),
            lambda rollout: jax.lax.cond(index == 5, none, fitted, rollout),
            S,
        )
        return {
            "policy_gradient": jax.grad(inner)(here.logits, data),
            "hessian": gradient_quality.hessian(inner, here.logits, data),
            "meta_gradient": gradient_quality.meta_gradient(
                meta_key, here, inner, outer, SETTING, 4096
            ),
        }

    def every(key):
        mdp, logits, _ = here
        data_key, meta_key = jax.random.split(key)
        data = gradient_quality.sample_rollout(data_key, mdp, logits, 4, 4096)
        of_index = lambda index: one(meta_key, data, index)
        return jax.lax.map(of_index, jnp.arange(len(named)))

    keys = jax.random.split(jax.random.key(0), 40)
    estimates = jax.device_get(jax.jit(lambda keys: jax.lax.map(every, keys))(keys))
    estimates = {
        name: {quantity: leaf[:, index] for quantity, leaf in estimates.items()}
        for index, name in enumerate(named)
    }
    truth = jax.jit(gradient_quality.exact_derivatives, static_argnums=1)
    return estimates, truth(here, SETTING)


def measured(name, quantity):
    estimates, truth = derivatives()
    return quality(estimates[name][quantity], truth[quantity])


@pytest.mark.parametrize("quantity", ["policy_gradient", "hessian", "meta_gradient"])
@pytest.mark.parametrize("name", ["dice", "dice, no baseline", "taypo2"])
def test_unbiased_estimators_agree_with_the_truth_within_their_error(name, quantity):
    found = measured(name, quantity)
    assert found.bias < 2 * found.standard_error
    assert found.standard_error < 0.15


@pytest.mark.parametrize("quantity", ["hessian", "meta_gradient"])
@pytest.mark.parametrize("name", ["loaded_dice", "likelihood_ratio", "log_probability"])
def test_biased_estimators_are_off_by_more_than_their_error(name, quantity):
    found = measured(name, quantity)
    assert found.bias > 2 * found.standard_error


def test_less_credit_gives_the_hessian_less_variance():
    names = ["dice, no baseline", "dice", "loaded_dice", "likelihood_ratio"]
    stds = [measured(name, "hessian").std for name in names]
    assert stds == sorted(stds, reverse=True)


def test_taypo2_has_the_very_hessian_of_dice_on_policy():
    estimates = derivatives()[0]
    np.testing.assert_allclose(
        estimates["taypo2"]["hessian"], estimates["dice"]["hessian"], atol=1e-5
    )


def test_gradient_by_evolution_agrees_with_the_truth_within_its_error():
    estimate = lambda key: gradient_quality.evolution_policy_gradient(
        key, problem(), SETTING, 0.1, 4096
    )
    keys = jax.random.split(jax.random.key(0), 400)
    estimates = jax.jit(lambda keys: jax.lax.map(estimate, keys))(keys)
    found = quality(estimates, derivatives()[1]["policy_gradient"])
    assert found.bias < 2 * found.standard_error
    assert found.standard_error < 0.15


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--num-mdps", "0"], "--num-mdps must be 1 or more, not 0"),
        (["--trajectories", "20,many"], "--trajectories takes numbers from 2 on"),
        (["--discount", "2"], "--discount must be from 0 to 1, not 2"),
        (["--num-mdp", "3"], "did you mean --num-mdps?"),
    ],
)
def test_bad_options_of_gradient_quality_give_one_line(arguments, message, capsys):
    assert_one_line(command.main, arguments, message, capsys)


def test_bad_options_of_formulations_give_one_line(capsys):
    message = "--step-size must be above 0, not -1"
    assert_one_line(formulations.main, ["--step-size", "-1"], message, capsys)


def assert_one_line(main, arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert message in error and error.count("\n") == 1


def test_measurement_is_saved_as_tables_and_figures(tmp_path, capsys):
    options = command.Options(
        num_states=2,
        num_actions=2,
        horizon=2,
        num_mdps=1,
        num_repeats=2,
        trajectories="4",
        off_policy="0.5",
        off_policy_trajectories=4,
    )
    rows = command.measure(options)
    command.save(tmp_path, options, rows)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [
        "gradient_quality.csv",
        "gradient_quality.json",
        "gradient_quality.md",
        "gradient_quality.png",
        "gradient_quality_off_policy.png",
    ]
    # on-policy 6 losses and evolution, whose Hessian there is none of; one credit term
    assert len(rows) == (6 * 3 + 2 + 1) + 6 * 3
    assert "about 0 s left" in capsys.readouterr().out
