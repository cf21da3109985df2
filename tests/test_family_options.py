"""All options of a task family, on the command line of an experiment."""

import dataclasses
from typing import Annotated

import pytest
import tyro

import envs
import experiments
from experiments import cli
from experiments.experiment import Experiment, build

EXPERIMENT = experiments.load("maml_ant_velocity")
LISTED = {"horizon": 200, "backend": "spring"}


@dataclasses.dataclass(frozen=True)
class Options:
    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    repeats: int = 1


def options_of(*arguments, default=EXPERIMENT):
    parsed = cli.parse(Experiment, "program name", arguments, default=default)
    return parsed.environment_options


@pytest.mark.parametrize("name", ["maml_ant_velocity", "rl2_grid_navi", "maml_point"])
def test_an_experiment_stays_as_it_is_where_no_option_is_given(name):
    experiment = experiments.load(name)
    assert cli.parse(Experiment, "program name", [], default=experiment) == experiment
    options = options_of(default=experiment)
    assert type(options) is dict
    assert list(options) == list(experiment.environment_options)


@pytest.mark.parametrize(
    "option", ["--environment-options.physics-step", "--physics_step"]
)
def test_options_that_the_experiment_does_not_list_can_be_given(option):
    assert options_of(option, "0.0025") == LISTED | {"physics_step": 0.0025}
    parsed = cli.parse(
        Options, "program name", [option, "0.0025"], default=Options(EXPERIMENT)
    )
    assert parsed.experiment.environment_options["physics_step"] == 0.0025


def test_an_option_can_be_set_back_to_its_default():
    options = LISTED | {"physics_step": 0.0025}
    changed = dataclasses.replace(EXPERIMENT, environment_options=options)
    assert options_of(default=changed) == options
    back = options_of("--physics-step=None", default=changed)
    assert back == LISTED | {"physics_step": None}
    assert options_of("--physics-step=None") == LISTED


def test_options_are_those_of_the_family_that_is_given():
    hopper = "--environment=hopper_params"
    options = options_of(hopper, "--log-scale-limit=2", "--horizon=5")
    assert options == {"log_scale_limit": 2.0, "horizon": 5}
    assert options_of(hopper) == {}
    assert options_of("--environment=ant_velocity") == LISTED


@pytest.mark.parametrize("name", sorted(envs.ENVIRONMENTS))
def test_every_option_of_every_family_has_a_type_that_its_default_fits(name):
    options = envs.option_defaults(name)
    typed = [f"--{key.replace('_', '-')}={value}" for key, value in options.items()]
    listed = LISTED if name == EXPERIMENT.environment else {}
    assert options_of(f"--environment={name}", *typed) == {
        key: options[key] for key in listed
    }


def test_options_of_another_family_need_not_be_taken_away():
    """A point has no backend, which the robot of the experiment has."""
    parsed = cli.parse(
        Experiment, "program name", ["--environment=point"], default=EXPERIMENT
    )
    assert (parsed.environment, parsed.environment_options) == ("point", {})
    build(parsed)


def test_what_no_family_has_is_one_line(capsys):
    with pytest.raises(SystemExit):
        options_of("--environment-options.physic-step", "1")
    message = capsys.readouterr().err
    assert "did you mean --environment-options.physics-step?" in message
    assert message.count("\n") == 1
    with pytest.raises(ValueError, match="unknown environment 'ant_speed'"):
        options_of("--environment", "ant_speed")
