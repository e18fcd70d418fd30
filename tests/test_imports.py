"""Imports run one way: sim -> hw -> sw, torch only where training is, amaranth only in hw and sim, and no circle."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("hw", "sw", "sim")

#: What the modules under each prefix must not reach, however indirectly.
FORBIDDEN = {"sw": {"amaranth", "hw", "sim", "cocotb"}, "hw": {"torch", "sim", "cocotb"}}


def modules():
    """Every module of the project with its file."""
    found = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imported(name, node):
    """The dotted names that an import statement in module ``name`` asks for."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = node.module or ""
    if node.level:
        package = name.split(".") if MODULES[name].stem == "__init__" else name.split(".")[:-1]
        parents = package[:len(package) - node.level + 1]
        base = ".".join([*parents, *([node.module] if node.module else [])])
    return [f"{base}.{alias.name}" for alias in node.names]


def target(dotted):
    """The project's module that ``dotted`` is or is in, else the top-level package."""
    levels = dotted.split(".")
    while levels:
        if ".".join(levels) in MODULES:
            return ".".join(levels)
        del levels[-1]
    return dotted.split(".")[0]


def dependencies(name, *, nested):
    """What module ``name`` imports, ``nested`` in functions too."""
    tree = ast.parse(MODULES[name].read_text())
    nodes = ast.walk(tree) if nested else tree.body
    return {
        target(dotted) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)
        for dotted in imported(name, node)
    } - {name}


def reached(start):
    """Everything that ``start`` imports, directly or not."""
    found, waiting = set(), [start]
    while waiting:
        for name in dependencies(waiting.pop(), nested=True) - found:
            found.add(name)
            if name in MODULES:
                waiting.append(name)
    return found


def test_project_is_found():
    assert {"hw.build.__main__", "hw.accelerator", "sw.program"} <= set(MODULES)
    assert {"hw.flow", "hw.tools", "amaranth"} <= reached("hw.build")


@pytest.mark.parametrize("name", MODULES)
def test_nothing_forbidden_is_reached(name):
    assert not reached(name) & FORBIDDEN.get(name.split(".")[0], set())


def test_no_circle():
    try:
        TopologicalSorter({name: dependencies(name, nested=False) for name in MODULES}).prepare()
    except CycleError as error:
        pytest.fail(f"circular import: {' -> '.join(error.args[1])}")


def test_check_starts_without_the_slow_packages():
    code = (
        "import sys, hw.build.__main__\n"
        "print(*{'torch', 'amaranth', 'matplotlib', 'jinja2'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
