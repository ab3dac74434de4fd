"""What the documentation shows is run: the README, every module and every public name."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import keras_initscope

ROOT = Path(__file__).parents[1]
# Keras 3.15 variables convert to NumPy 2 arrays in a way that NumPy deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def _blocks(text):
    found = re.findall(r"^( *)```python\n(.*?)^\1```", text, re.MULTILINE | re.DOTALL)
    return [inspect.cleandoc("\n" + code) for _, code in found]


# The frameworks of the backends may not be installed; the examples of theory take their module's
# names as given and are run by tests/theory/test_examples.py.
ELSEWHERE = re.compile(r"keras_initscope\.(measurement\.backends|theory)\.")


def _modules():
    yield keras_initscope
    for found in pkgutil.walk_packages(keras_initscope.__path__, "keras_initscope."):
        if not ELSEWHERE.match(found.name):
            yield importlib.import_module(found.name)


def _public_objects():
    """What the modules define or export without an underscore, and the methods of its classes."""
    for module in _modules():
        own = [name for name, thing in vars(module).items() if _is_at_home(thing, module)]
        for name in {*getattr(module, "__all__", ()), *own}:
            thing = getattr(module, name)
            if name.startswith("_") or inspect.ismodule(thing):
                continue
            yield thing
            for method in vars(thing).values() if inspect.isclass(thing) else ():
                yield getattr(method, "__func__", method)


def _is_at_home(thing, module):
    return callable(thing) and getattr(thing, "__module__", None) == module.__name__


def _documented():
    named = {
        f"{thing.__module__}.{thing.__qualname__}": thing
        for thing in _public_objects()
        if inspect.isclass(thing) or inspect.isfunction(thing)
    }
    named |= {module.__name__: module for module in _modules()}
    for name, thing in sorted(named.items()):
        for number, code in enumerate(_blocks(inspect.getdoc(thing) or "")):
            yield pytest.param(code, id=f"{name}-{number}")


def _readme():
    for number, code in enumerate(_blocks((ROOT / "README.md").read_text(encoding="utf-8"))):
        yield pytest.param(code, id=f"README-{number}")


@pytest.mark.parametrize("code", [*_documented(), *_readme()])
def test_the_example_runs(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "<example>", "exec"), {"__name__": "__main__"})


def test_examples_are_found():
    shown = [parameter.id for parameter in _documented()]
    for name in (
        "HeAverageNormal",
        "RReLU",
        "VarianceMonitor",
        "running.run",
        "cli.main",
        "Snapshot.profile",
    ):
        assert any(name in identifier for identifier in shown)


def test_a_block_is_found_where_it_is_indented():
    text = "Words.\n\n    ```python\n    a = 1\n    if a:\n        b = 2\n    ```\n\n```\nno\n```\n"
    assert _blocks(text) == ["a = 1\nif a:\n    b = 2"]


def test_public_classes_of_keras_objects_have_an_example():
    for room in (keras_initscope.initializers, keras_initscope.layers, keras_initscope.callbacks):
        for name in room.__all__:
            assert _blocks(inspect.getdoc(getattr(room, name))), name
