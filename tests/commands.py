"""Commands that are called in this process, where JAX is set up already."""

import pytest

from metarl_jax import platform


def call(module, *arguments):
    """Calls `main` of a command with what would be typed after its name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(platform, "configure", lambda: None)
        module.main([str(argument) for argument in arguments])
