"""Commands that are called in this process, where JAX is set up already."""

import os
from unittest import mock

import pytest

from metarl_jax import platform


def call(module, *arguments, **environment):
    """Calls `main` of a command with what would be typed after its name.

    Args:
      module: of the command.
      *arguments: of the command line.
      **environment: variables for it and the processes that it starts.
    """
    with (
        pytest.MonkeyPatch.context() as patch,
        mock.patch.dict(os.environ, environment),
    ):
        for name in ("configure", "simulate_devices", "use_cpu_only"):
            patch.setattr(platform, name, lambda *_, **__: None)
        module.main([str(argument) for argument in arguments])
