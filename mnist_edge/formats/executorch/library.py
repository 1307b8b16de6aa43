"""ExecuTorch's Python runtime without its compiler, which would take most of the time and memory of a first answer."""

import contextlib
import importlib.util
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

_COMPILER = "executorch.exir"


def load_runtime() -> tuple[Any, Any]:
    """Return the modules `executorch.runtime` and `portable_lib`, imported so that the compiler stays out.

    `portable_lib` takes the class of a warning from a module of the compiler's package, whose `__init__` imports all of
    that and of torch's own compiler. An empty package of its name stands in for it meanwhile; where more is wanted of
    it, as by another version, the compiler is imported after all.

    Raises:
        ImportError: ExecuTorch is not installed, or can't be loaded.
    """
    if _COMPILER not in sys.modules:
        with contextlib.suppress(ImportError), _empty_compiler():
            return _import_runtime()
    return _import_runtime()


@contextlib.contextmanager
def _empty_compiler() -> Iterator[None]:
    """Let a package without content be the compiler, whose modules can be imported from it."""
    spec = importlib.util.find_spec(_COMPILER)
    package = ModuleType(_COMPILER)
    package.__path__ = list(spec.submodule_search_locations or []) if spec else []
    sys.modules[_COMPILER] = package
    try:
        yield
    finally:
        for name in [name for name in sys.modules if f"{name}.".startswith(f"{_COMPILER}.")]:
            del sys.modules[name]


def _import_runtime() -> tuple[Any, Any]:
    from executorch import runtime
    from executorch.extension.pybindings import portable_lib

    return runtime, portable_lib
