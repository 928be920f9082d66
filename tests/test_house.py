"""The house is in order: short functions, small files, every room in its layer."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = sorted((ROOT / "sktrim").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
DEFINED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)


def _docstring_lines(node):
    if not isinstance(node, DEFINED) or ast.get_docstring(node) is None:
        return set()
    return set(range(node.body[0].lineno, node.body[0].end_lineno + 1))


def _described(tree):
    return set().union(*map(_docstring_lines, ast.walk(tree)))


def _named(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", PACKAGE + TESTS, ids=_named)
def test_files_and_bodies_are_short_without_their_docstrings(path):
    text = path.read_text()
    tree = ast.parse(text)
    described = _described(tree)
    assert len(text.splitlines()) - len(described) <= 500
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            lines = set(range(node.lineno, node.end_lineno + 1)) - described
            assert len(lines) <= 60, node.name


def test_every_room_is_in_a_layer():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = settings["tool"]["importlinter"]["contracts"]
    [layers] = [c["layers"] for c in contracts if c["type"] == "layers"]
    named = {name for layer in layers for name in re.findall(r"sktrim\.(\w+)", layer)}
    there = {p.stem for p in (ROOT / "sktrim").iterdir() if p.suffix in ("", ".py")}
    assert named == there - {"__init__", "__pycache__"}
    assert not [c["name"] for c in contracts if c.get("ignore_imports")]


def test_at_the_top_stand_rooms_and_little_else():
    files = {p.name for p in (ROOT / "sktrim").iterdir() if p.is_file()}
    expected = "__init__.py _memory.py exceptions.py targets.py py.typed"
    assert files == set(expected.split())


@pytest.mark.parametrize("path", TESTS, ids=_named)
def test_a_test_file_opens_with_a_sentence(path):
    assert (ast.get_docstring(ast.parse(path.read_text())) or "").strip()
