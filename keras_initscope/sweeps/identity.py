"""What the results of a sweep depend on beside its cells, as short texts that can be compared.

Owns how code and data become a fingerprint. Seen are the code of a function, its defaults, what it
closes over, the globals that it names, and in turn all functions and classes that are the user's
own. Of a module of the user's own that code names or imports, all its code is seen, with that of
the modules that it imports in turn, and the values of what the code may take from it. Of Python,
this package and installed packages only the names are seen; and neither files that a function
reads, nor what it imports by a name that is made up as it runs, such as for
`importlib.import_module`.
"""

from __future__ import annotations

import copyreg
import functools
import hashlib
import pickle
import platform
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import keras
import numpy as np

from keras_initscope.sweeps.cells import SweepError
from keras_initscope.sweeps.own_code import (
    OURS,
    attributes_of,
    globals_of,
    imports_of,
    is_own,
    module_code,
)

Identity = Mapping[str, str]

_PLAIN = (str, bytes, int, float, complex, bool, type(None), type(Ellipsis))
_TOLD = (str, bytes, int, float, dict)
_NO_CODE = {"__dict__", "__weakref__", "__doc__", "__module__", "__firstlineno__"}
_NO_CODE.add("__slotnames__")  # pickle puts it there


def versions() -> dict[str, str]:
    """Those of what computes."""
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "keras": f"{keras.__version__} on {keras.backend.backend()}",
        OURS: str(sys.modules[OURS].__version__),
    }


def name_of(function: Any) -> str:
    """Module and name of a function, or of the class of another callable."""
    if isinstance(function, functools.partial):
        return name_of(function.func)
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"


def fingerprint(value: Any) -> str:
    """Sixteen digits that change with the code or the data that a value stands for.

    Args:
        value: A function, an array, a record, or whatever can be pickled.

    Returns:
        The digits, the same in every process.

    Raises:
        SweepError: If there is something in it of which nobody can say whether it is the same.

    Example:

    ```python
    from keras_initscope.sweeps.identity import fingerprint

    def scaled(factor):
        return lambda x: factor * x

    assert fingerprint(scaled(2)) == fingerprint(scaled(2)) != fingerprint(scaled(3))
    ```
    """
    digest = hashlib.sha256()
    for part in _Walk({}).parts(value):
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()[:16]


class _Walk:
    """Goes through a value once; what it has met before is named by its number, not entered."""

    def __init__(self, met: Mapping[int, tuple[int, Any]]) -> None:
        #: By address the number of each thing and the thing, so that its address is not given anew.
        self._met = dict(met)
        self._modules: set[str] = set()

    def parts(self, value: Any) -> Iterator[bytes]:
        if isinstance(value, _PLAIN):
            yield f"{type(value).__name__} {value!r}".encode()
        elif type(value) is tuple:  # whether equal ones are the same object is up to Python
            yield b"tuple"
            yield from self._all(value)
        elif id(value) in self._met:
            yield f"met {self._met[id(value)][0]}".encode()
        else:
            self._met[id(value)] = len(self._met), value
            yield from self._entered(value)

    def _entered(self, value: Any) -> Iterator[bytes]:
        for kind, way in self._ways():
            if isinstance(value, kind):
                yield kind.__name__.encode()
                yield from way(value)
                return
        if hasattr(value, "__wrapped__"):  # such as functools.cache makes
            yield from self.parts(value.__wrapped__)
        else:
            yield from self._object(value)

    def _ways(self) -> Iterable[tuple[type, Callable[[Any], Iterator[bytes]]]]:
        return (
            (FunctionType, self._function),
            (CodeType, self._code),
            (MethodType, lambda value: self._all((value.__func__, value.__self__))),
            (BuiltinFunctionType, self._builtin),
            (ModuleType, self._module),
            (type, self._class),
            (np.ndarray, self._array),
            (np.generic, lambda value: self.parts(repr(value))),
            (functools.partial, lambda value: self._all((value.func, value.args, value.keywords))),
            (property, lambda value: self._all((value.fget, value.fset, value.fdel))),
            (functools.cached_property, lambda value: self.parts(value.func)),
            (list, self._all),
            (tuple, self._all),
            (Mapping, lambda value: self._all(value.items())),
            (set, self._unordered),
            (frozenset, self._unordered),
        )

    def _all(self, values: Iterable[Any]) -> Iterator[bytes]:
        for value in values:
            yield from self.parts(value)
        yield b"end"

    def _unordered(self, values: Iterable[Any]) -> Iterator[bytes]:
        yield from sorted(b" ".join(_Walk(self._met).parts(value)) for value in values)

    def _array(self, array: Any) -> Iterator[bytes]:
        yield f"{array.dtype.str} {array.shape}".encode()
        if array.dtype.hasobject:
            yield from self.parts(array.tolist())
        else:
            yield np.ascontiguousarray(array).tobytes()

    def _function(self, function: Any) -> Iterator[bytes]:
        yield name_of(function).encode()
        if is_own(function):
            yield from self.parts(function.__code__)
            yield from self._all((function.__defaults__, function.__kwdefaults__))
            yield from self._all(cell.cell_contents for cell in function.__closure__ or ())
            yield from self._named(function.__code__, function.__globals__)

    def _named(self, code: CodeType, known: Mapping[str, Any]) -> Iterator[bytes]:
        """The globals that code names, what it may take of modules, and what it imports."""
        for name in globals_of(code):
            if name in known:
                yield from self.parts((name, known[name]))
                yield from self._taken(known[name], code)
        yield from self._imported(code, str(known.get("__package__") or ""))

    def _taken(self, module: Any, code: CodeType) -> Iterator[bytes]:
        if isinstance(module, ModuleType) and module_code(module):
            for name, value in attributes_of(module, code):  # some may have but the name in common
                yield name.encode()
                yield from self._attribute(value)
                if str(getattr(value, "__name__", "")).startswith(f"{module.__name__}."):
                    yield from self._taken(value, code)

    def _imported(self, code: CodeType, package: str) -> Iterator[bytes]:
        for name in imports_of(code, package):
            yield from self._module(name)

    def _module(self, module: str | ModuleType) -> Iterator[bytes]:
        name = module if isinstance(module, str) else module.__name__
        yield name.encode()
        code = module_code(module)
        if code is not None and name not in self._modules:
            self._modules.add(name)
            yield from self.parts(code)
            is_package = hasattr(sys.modules.get(name), "__path__")
            yield from self._imported(code, name if is_package else name.rpartition(".")[0])

    def _builtin(self, function: Any) -> Iterator[bytes]:
        yield name_of(function).encode()
        yield from self.parts(function.__self__)  # a module, or what a method is bound to

    def _code(self, code: CodeType) -> Iterator[bytes]:
        yield code.co_code
        yield from self._all((code.co_consts, code.co_names, code.co_varnames, code.co_freevars))

    def _class(self, value: Any) -> Iterator[bytes]:
        yield f"{value.__module__}.{value.__qualname__}".encode()
        if is_own(value):
            yield from self._all(value.__bases__)
            own = {name: each for name, each in vars(value).items() if name not in _NO_CODE}
            for name, each in sorted(own.items(), key=lambda item: item[0]):
                yield name.encode()
                yield from self._attribute(each)

    def _attribute(self, value: Any) -> Iterator[bytes]:
        """Of a class or module: what cannot be pickled, such as what Python puts there, is left."""
        try:
            yield from list(self.parts(value))
        except SweepError:
            yield type(value).__name__.encode()

    def _object(self, value: Any) -> Iterator[bytes]:
        """Of anything else its class, and what Keras or pickle would save of it."""
        yield from self.parts(type(value))
        if callable(getattr(value, "get_config", None)):
            yield from self.parts(value.get_config())
            plain = {name: each for name, each in _state_of(value) if isinstance(each, _TOLD)}
            yield from self._all(sorted(plain.items()))  # some configurations are not whole
            return
        reduce = copyreg.dispatch_table.get(type(value))
        try:
            saved = reduce(value) if reduce else value.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
        except Exception as error:  # the object may be the user's and raise anything
            raise SweepError(
                f"Nobody can tell whether {value!r} (of type {type(value).__name__}), which the "
                "function uses, is the same at the next start, for it cannot be pickled: "
                f"{error} Make it within the function, or leave `log_dir` out."
            ) from error
        if isinstance(saved, str):
            yield saved.encode()
        else:
            lists = [each if i < 3 else each and list(each) for i, each in enumerate(saved[:5])]
            yield from self._all(lists)


def _state_of(value: Any) -> Iterable[tuple[str, Any]]:
    return getattr(value, "__dict__", {}).items()
