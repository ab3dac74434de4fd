"""Every docstring example of the theory and of what is built on it runs."""

import importlib
import inspect
import pkgutil
import re

import pytest

import keras_initscope.activations
import keras_initscope.prediction
import keras_initscope.theory

ROOMS = [keras_initscope.theory, keras_initscope.prediction]
MODULES = [keras_initscope.activations] + [
    importlib.import_module(found.name)
    for room in ROOMS
    for found in pkgutil.iter_modules(room.__path__, f"{room.__name__}.")
]


def _public():
    for module in MODULES:
        for name, value in vars(module).items():
            if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__:
                yield pytest.param(module, value, id=f"{module.__name__}.{name}")


@pytest.mark.parametrize(("module", "value"), list(_public()))
def test_the_example_runs(module, value):
    blocks = re.findall(r"```python\n(.*?)```", inspect.getdoc(value) or "", re.DOTALL)
    for block in blocks:
        exec(compile(block, module.__name__, "exec"), dict(vars(module)))


def test_every_function_that_others_call_has_an_example():
    rooms = {"gains", "meanfield", "moments", "lines", "criticality", "fixedpoints", "activations"}
    without = [
        value.__name__
        for module in MODULES
        if module.__name__.split(".")[-1] in rooms
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__
        if not name.startswith("_") and "```python" not in (value.__doc__ or "")
    ]
    assert set(without) <= {"power", "named_point"}
