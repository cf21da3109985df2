"""Who imports whom: the rules that keep the library apart from the environments."""

import ast
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ALGORITHMS = "metarl_jax.algorithms"


def source_files(package):
    return sorted((ROOT / package).rglob("*.py"))


def imported_modules(path):
    """Full names of all that a file imports, also inside functions: `a.b`, `a.b.c`."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = absolute_module(path, node)
            names |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return names


def absolute_module(path, node):
    if node.level == 0:
        return node.module
    package = path.relative_to(ROOT).parts[: -node.level]
    return ".".join(package + ((node.module,) if node.module else ()))


def imported_packages(path):
    return {name.partition(".")[0] for name in imported_modules(path)}


def relative_name(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", source_files("metarl_jax"), ids=relative_name)
def test_library_knows_no_environment_and_no_experiment(path):
    assert not imported_packages(path) & {"envs", "experiments"}


@pytest.mark.parametrize("path", source_files("envs"), ids=relative_name)
def test_environments_know_nothing_of_the_library(path):
    assert not imported_packages(path) & {"metarl_jax", "experiments"}


@pytest.mark.parametrize(
    "path", source_files("metarl_jax/algorithms"), ids=relative_name
)
def test_algorithm_imports_no_other_algorithm(path):
    if path.name == "__init__.py":  # the registry
        return
    siblings = {name for name in imported_modules(path) if name.startswith(ALGORITHMS)}
    assert not siblings


NETWORKS = ("metarl_jax/networks.py", "metarl_jax/sequence_models/")


@pytest.mark.parametrize("path", source_files("metarl_jax"), ids=relative_name)
def test_only_networks_know_flax(path):
    if not relative_name(path).startswith(NETWORKS):
        assert "flax" not in imported_packages(path)


def printed(program):
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_point_and_maml_load_no_robot_simulator():
    program = (
        "import sys, envs, envs.point, metarl_jax.algorithms.maml\n"
        "print(*{'brax', 'mujoco'} & set(sys.modules))"
    )
    assert printed(program) == []


def test_commands_load_what_draws_for_gymnax_only_when_it_is_used():
    program = (
        "import sys, experiments, envs.point, gymnax\n"
        "print('scipy.stats' in sys.modules)\n"
        "import seaborn\n"
        "from seaborn import color_palette\n"
        "print(len(color_palette('cubehelix', 3)), 'scipy.stats' in sys.modules)\n"
        "print(seaborn.__version__, sys.modules['seaborn'].__version__)"
    )
    version = importlib.metadata.version("seaborn")
    assert printed(program) == ["False", "3", "True", version, version]


def test_a_deferred_module_is_not_loaded_by_looking_through_all_modules():
    program = (
        "import sys, inspect, importlib.util, experiments\n"
        "inspect.getmodule(inspect.currentframe())\n"
        "for module in list(sys.modules.values()):\n"
        "    getattr(module, '__warningregistry__', None)\n"
        "print(importlib.util.find_spec('seaborn').name, 'pandas' in sys.modules)"
    )
    assert printed(program) == ["seaborn", "False"]


def test_a_module_that_is_not_there_is_not_deferred():
    program = (
        "from experiments.deferred_import import defer\n"
        "defer('no_such_module')\n"
        "try:\n    import no_such_module\n"
        "except ModuleNotFoundError as error:\n    print(error.name)"
    )
    assert printed(program) == ["no_such_module"]
