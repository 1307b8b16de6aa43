"""The runtime is imported without the compiler, unless it wants more of that than one class."""

import sys

import pytest

from mnist_edge.formats.executorch import library

COMPILER = "executorch.exir"


def test_where_the_runtime_wants_more_of_the_compiler_that_is_imported_after_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in sys.modules if f"{name}.".startswith(f"{COMPILER}.")]:
        monkeypatch.delitem(sys.modules, name)
    stands_in = []

    def import_runtime() -> tuple[str, str]:
        stands_in.append(COMPILER in sys.modules)
        if stands_in[-1]:
            raise ImportError("cannot import name 'memory' from 'executorch.exir'")
        return "runtime", "portable_lib"

    monkeypatch.setattr(library, "_import_runtime", import_runtime)
    assert library.load_runtime() == ("runtime", "portable_lib")
    assert stands_in == [True, False]
    assert COMPILER not in sys.modules


def test_a_runtime_that_cannot_be_imported_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def import_runtime() -> None:
        raise ImportError("libtorch.so: cannot open shared object file")

    monkeypatch.setattr(library, "_import_runtime", import_runtime)
    with pytest.raises(ImportError, match="libtorch"):
        library.load_runtime()
