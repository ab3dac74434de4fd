"""Which code is the user's own, and what other code of the user's it names.

Owns the difference between code that may change from one start to the next and what is installed,
whose version tells. Runs no function.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Iterator
from importlib.util import find_spec, resolve_name
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

OURS = __name__.partition(".")[0]
_SITES = {"site-packages", "dist-packages"}
_STANDARD = Path(dis.__file__).resolve().parent
_LOADS = ("LOAD_GLOBAL", "LOAD_NAME")


def is_own(value: FunctionType | type) -> bool:
    """Whether a function or class is the user's: neither installed nor of Python or this package.

    What the script or notebook defines always is, whatever program has run it, such as pytest.
    """
    module = str(value.__module__)
    if module == "__main__":
        return True
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None and isinstance(value, FunctionType):
        file = value.__code__.co_filename
    return _is_own(module, file)


def module_code(module: str | ModuleType) -> CodeType | None:
    """All code of a module of the user's own, as it is on the disk; `None` of any other.

    Args:
        module: The module, or its name.
    """
    try:
        spec = find_spec(module) if isinstance(module, str) else module.__spec__
        if spec is None or spec.loader is None or not _is_own(spec.name, spec.origin):
            return None
        code = getattr(spec.loader, "get_code", lambda name: None)(spec.name)
    except Exception:  # a package that the name is in is run, and may raise anything
        return None
    return code if isinstance(code, CodeType) else None


def globals_of(code: CodeType) -> list[str]:
    """Names of globals that code and the functions within it load, sorted."""
    names = {
        step.argval
        for each in _nested(code)
        for step in dis.get_instructions(each)
        if step.opname in _LOADS and step.argval
    }
    return sorted(names)


def attributes_of(module: ModuleType, code: CodeType) -> Iterator[tuple[str, Any]]:
    """What code may take from a module of the user's own: whatever has a name that the code has."""
    names = {name for each in _nested(code) for name in each.co_names}
    for name in sorted(names & vars(module).keys()):
        yield name, vars(module)[name]


def imports_of(code: CodeType, package: str) -> list[str]:
    """Names of what may be modules that code and the functions within it import, sorted."""
    found = set()
    for each in _nested(code):
        steps = list(dis.get_instructions(each))
        for i, step in enumerate(steps):
            if step.opname == "IMPORT_NAME":
                level, members = steps[i - 2].argval, steps[i - 1].argval
                base = _absolute(step.argval, level, package)
                found |= {base, *(f"{base}.{member}" for member in members or () if base)}
    return sorted(found - {""})


def _is_own(module: str, file: str | None) -> bool:
    package = module.partition(".")[0]
    if package == OURS:
        return False
    if file is None or file in ("built-in", "frozen") or file.startswith("<frozen"):
        return package not in sys.stdlib_module_names
    folder = Path(file).resolve().parent
    return not (_SITES & set(folder.parts) or folder.is_relative_to(_STANDARD))


def _absolute(name: str, level: Any, package: str) -> str:
    if not level:
        return name
    try:
        return resolve_name("." * int(level) + name, package)
    except (ImportError, TypeError, ValueError):  # it would fail where it is run as well
        return ""


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)
