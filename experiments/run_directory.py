"""A folder with everything about one run."""

import contextlib
import dataclasses
import itertools
import json
import operator
from pathlib import Path
from typing import Any

import cattrs
from cattrs.strategies import configure_tagged_union

from experiments.experiment import Experiment
from metarl_jax.algorithms import AlgorithmConfig
from metarl_jax.checks import require
from metarl_jax.conditioning import Conditioning
from metarl_jax.embedding_sources import SourceConfig
from metarl_jax.memory_policies import HeadConditioning
from metarl_jax.optimizers import OuterConfig
from metarl_jax.reward_likelihoods import RewardLikelihood
from metarl_jax.run_files import damage, make_folder, read_json, write_json
from metarl_jax.run_logs import CSV_NAME
from metarl_jax.sequence_models import SequenceConfig
from metarl_jax.trial_optimizers import TrialOuterConfig
from metarl_jax.versions import run_versions

_CONVERTER = cattrs.Converter(forbid_extra_keys=True)
_UNIONS = (
    *(OuterConfig, TrialOuterConfig, SequenceConfig, RewardLikelihood),
    *(SourceConfig, Conditioning, HeadConditioning),
    AlgorithmConfig,  # after those that it is made of
)
for _union in _UNIONS:
    configure_tagged_union(_union, _CONVERTER, tag_name="kind")
# fields that make a run another one if they change
_PROBLEM = (
    *("environment", "environment_options", "observe_task", "num_training_tasks"),
    *("training.seed", "training.num_seeds"),
)


def document(name: str, experiment: Experiment) -> dict[str, Any]:
    """The configuration of a run as JSON."""
    return {"name": name} | _CONVERTER.unstructure(experiment)


def is_of(saved: Any, name: str, experiment: Any) -> bool:
    """Whether JSON that was saved is the `document` of this experiment."""
    return saved == json.loads(json.dumps(document(name, experiment)))


def changed_settings(trained: Experiment, tested: Experiment) -> dict[str, Any]:
    """The settings of the algorithm that differ, as JSON: how it is tested."""
    before, after = (document("", each)["algorithm"] for each in (trained, tested))
    return {name: after[name] for name in after if after[name] != before.get(name)}


@dataclasses.dataclass(frozen=True)
class RunDirectory:
    """The files of a run, by name."""

    path: Path

    config = property(lambda self: self.path / "config.json")
    versions = property(lambda self: self.path / "versions.json")
    metrics = property(lambda self: self.path / CSV_NAME)
    checkpoints = property(lambda self: self.path / "checkpoints")
    summary = property(lambda self: self.path / "summary.json")
    returns = property(lambda self: self.path / "returns.json")
    tasks = property(lambda self: self.path / "tasks.json")
    learning_curve = property(lambda self: self.path / "learning_curve.png")
    adaptation_curve = property(lambda self: self.path / "adaptation_curve.png")
    returns_by_task = property(lambda self: self.path / "returns_by_task.png")
    trajectories = property(lambda self: self.path / "trajectories.png")
    oracle = property(lambda self: RunDirectory(self.path / "oracle"))

    def create(self, name: str, experiment: Experiment) -> None:
        """Makes the folder and records what is run, and with which versions.

        Raises:
          ValueError: if the folder already holds a run, or what is left of one.
          OSError: if it cannot be written.
        """
        if self.config.exists():
            raise ValueError(
                f"{self.path} holds a run: go on with --resume {self.path}, or choose "
                "another --run-dir"
            )
        for left in (self.checkpoints, self.oracle.path):
            require(
                not left.exists(),
                f"{left} is of a run whose {self.config.name} is gone: put that back, "
                "or choose another folder",
            )
        make_folder(self.path)
        write_json(self.versions, run_versions())
        self.record(name, experiment)

    def record(self, name: str, experiment: Experiment) -> None:
        """Writes the configuration."""
        write_json(self.config, document(name, experiment))

    def load(self) -> tuple[str, Experiment]:
        """The name and configuration of the run.

        Raises:
          FileNotFoundError: if there is no run here.
          ValueError: if the configuration is damaged, or was written by an
            incompatible version.
        """
        config = self.stored()
        name = config.pop("name")
        try:
            return name, _CONVERTER.structure(config, Experiment)
        except cattrs.BaseValidationError as error:
            reason = "; ".join(cattrs.transform_error(error))
            raise ValueError(
                f"{self.config} does not fit this version: {reason}"
            ) from None

    def check_same_problem(self, experiment: Experiment, mend: str) -> None:
        """Checks that an experiment is one that the run here can go on with.

        Args:
          experiment: what is to be trained or tested.
          mend: what to do otherwise.

        Raises:
          ValueError: if it has other tasks or seeds.
        """
        _, stored = self.load()
        for field in _PROBLEM:
            before, now = map(operator.attrgetter(field), (stored, experiment))
            require(
                before == now,
                f"{self.path} was run with {field} {before}, not {now}: {mend}",
            )

    def stored(self) -> dict[str, Any]:
        """The `document` of the run; raises as `load`, whatever version wrote it."""
        try:
            config = read_json(self.config)
        except FileNotFoundError:
            raise FileNotFoundError(
                f"no run in {self.path}: start one with python -m experiments.run NAME "
                f"--run-dir {self.path}"
            ) from None
        if not isinstance(config, dict) or "name" not in config:
            raise damage(self.config, "it names no run")
        return config


def claim(path: Path) -> Path:
    """Makes a folder that nobody has: `path`, or path_2, path_3, ... after it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        folder = path if number == 1 else path.with_name(f"{path.name}_{number}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            return folder
