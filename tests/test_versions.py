import json
import socket
import subprocess
from pathlib import Path

import jax

from metarl_jax.versions import PACKAGES, git_revision, run_versions


def git(directory, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    command = ["git", "-C", str(directory), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_versions_are_json_and_name_no_machine():
    versions = run_versions()
    text = json.dumps(versions)
    assert versions["packages"]["jax"] == jax.__version__
    assert set(versions["packages"]) == set(PACKAGES)
    assert versions["device"]["count"] == jax.device_count()
    assert socket.gethostname() not in text
    assert str(Path.home()) not in text


def test_git_revision_tells_commit_and_changes(tmp_path):
    git(tmp_path, "init")
    (tmp_path / "file.py").write_text("a = 1\n")
    (tmp_path / ".gitignore").write_text("runs\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    commit = git(tmp_path, "rev-parse", "HEAD").strip()
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "x.csv").write_text("")
    assert git_revision(tmp_path) == {"commit": commit, "dirty": False}
    (tmp_path / "file.py").write_text("a = 2\n")
    assert git_revision(tmp_path) == {"commit": commit, "dirty": True}
    assert git_revision(tmp_path / "runs") is None


def test_git_revision_is_none_outside_a_checkout(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_revision(tmp_path) is None
    monkeypatch.setenv("PATH", "")
    assert git_revision(Path(__file__).parent) is None
