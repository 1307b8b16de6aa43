"""ExecuTorch's Python runtime without its compiler, which would take most of the time and memory of a first answer."""

import importlib.util
import sys
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
    spec = None if _COMPILER in sys.modules else importlib.util.find_spec(_COMPILER)
    if spec is not None:
        package = ModuleType(_COMPILER)
        package.__path__ = list(spec.submodule_search_locations or [])
        sys.modules[_COMPILER] = package
    try:
        return _import_runtime()
    except ImportError:
        if spec is None:
            raise
    finally:
        if spec is not None:
            for name in [name for name in sys.modules if f"{name}.".startswith(f"{_COMPILER}.")]:
                del sys.modules[name]
    return _import_runtime()


def _import_runtime() -> tuple[Any, Any]:
    from executorch import runtime
    from executorch.extension.pybindings import portable_lib

    return runtime, portable_lib
