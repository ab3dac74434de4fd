"""Theory is NumPy and SciPy alone: no framework, no other room."""

import ast
import sys
from pathlib import Path

import pytest

import keras_initscope.theory

FILES = sorted(Path(keras_initscope.theory.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_only_numpy_scipy_and_theory_are_imported(path):
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module)
    foreign = {name for name in imported if name.split(".")[0] not in sys.stdlib_module_names}
    allowed = ("numpy", "scipy", "keras_initscope.theory")
    assert {name for name in foreign if not name.startswith(allowed)} == set()
