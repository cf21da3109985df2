"""What a run was made with: versions, device kind and git commit."""

import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

import jax

PACKAGES = ("jax", "jaxlib", "flax", "optax", "chex", "gymnax", "brax", "numpy")


def run_versions() -> dict[str, Any]:
    """The versions behind a run, ready for JSON.

    Returns:
      `python` (version), `packages` (name -> version, None where not installed),
      `device` (`platform`, `kind`, `count`) and `git` (see `git_revision`) of the
      checkout that this package is imported from.
    """
    device = jax.devices()[0]
    return {
        "python": platform.python_version(),
        "packages": {name: _package_version(name) for name in PACKAGES},
        "device": {
            "platform": device.platform,
            "kind": device.device_kind,
            "count": jax.device_count(),
        },
        "git": git_revision(Path(__file__).parent),
    }


def git_revision(directory: Path) -> dict[str, Any] | None:
    """The commit that the files of `directory` are at.

    Returns:
      `commit` (40 hex digits) and `dirty` (True: the working tree differs from that
      commit, or holds new files that git does not ignore). None where git is missing
      or does not track the directory, as for an installed package.
    """
    if not _git(directory, "ls-files", "."):
        return None
    commit = _git(directory, "rev-parse", "HEAD")
    status = _git(directory, "status", "--porcelain")
    return None if not commit else {"commit": commit, "dirty": bool(status)}


def _git(directory: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(directory), *arguments]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None


def _package_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
