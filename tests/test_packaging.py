"""What is declared, what is pinned and what is imported agree."""

import ast
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGES = ("metarl_jax", "envs", "experiments")
PYTHONS = ("3.11", "3.12", "3.13")


def parse_requirements(name):
    lines = (line.partition("#")[0].strip() for line in open(ROOT / name))
    return [Requirement(line) for line in lines if line]


def pinned_versions(python):
    """Versions by name that requirements.lock gives to this Python on Linux."""
    platform = {"python_version": python, "python_full_version": f"{python}.0"}
    platform |= {"sys_platform": "linux", "implementation_name": "cpython"}
    return {
        canonicalize_name(pin.name): str(pin.specifier).removeprefix("==")
        for pin in parse_requirements("requirements.lock")
        if pin.marker is None or pin.marker.evaluate(platform)
    }


def third_party_imports():
    known = set(sys.stdlib_module_names) | set(PACKAGES)
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                yield from {name.partition(".")[0] for name in imports(node)} - known


def imports(node):
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0:
        return [node.module]
    return []


def test_installed_package_declares_requirements_txt():
    declared = [Requirement(line) for line in metadata.requires("metarl_jax")]
    assert {r for r in declared if not r.marker} == set(
        parse_requirements("requirements.txt")
    )


@pytest.mark.parametrize("python", PYTHONS)
def test_lock_pins_every_requirement_within_its_range(python):
    pins = pinned_versions(python)
    declared = [Requirement(line) for line in metadata.requires("metarl_jax")]
    for requirement in declared:
        pin = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(pin), (
            f"{requirement}, but {pin} is pinned"
        )


def test_lock_names_no_index_and_no_path():
    for line in open(ROOT / "requirements.lock"):
        assert not line.startswith("-")
        assert " @ " not in line


@pytest.mark.parametrize("module", sorted(set(third_party_imports())))
def test_imported_package_is_declared(module):
    declared = {
        canonicalize_name(r.name) for r in parse_requirements("requirements.txt")
    }
    providers = metadata.packages_distributions()[module]
    assert declared & {canonicalize_name(name) for name in providers}
