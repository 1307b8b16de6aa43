"""The code of a network of the user's, imported from a file or a module that the user named, and what it raises."""

import contextlib
import importlib
import importlib.util
import inspect
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from torch import nn

from mnist_edge.artifact.fields import one_line
from mnist_edge.artifact.names import is_own
from mnist_edge.errors import UserError
from mnist_edge.outside import is_from_outside

_PRINTING = threading.RLock()


def import_definition(spec: str) -> Callable[..., object]:
    """Return the class or function that a name stands for; a module is also looked for in the working folder.

    Args:
        spec: `path/to/net.py:Net` or `package.module:Net`.

    Raises:
        UserError: there is no such code, it raises when it is imported, or it has no class or function of that name.
    """
    if not is_own(spec):
        raise UserError(f"{spec!r} does not name a network: expected path/to/net.py:Net or package.module:Net")
    home, _, definition = spec.rpartition(":")
    module = _import_file(Path(home), spec) if home.endswith(".py") else _import_module(home, spec)
    found: object = module
    for part in definition.split("."):
        found = getattr(found, part, None)
    if found is None:
        known = ", ".join(name for name, each in vars(module).items() if _is_defined_in(module, each))
        expected = f"expected one of {known}" if known else "it defines no class and no function"
        raise UserError(f"{home} has no {definition!r}: {expected}")
    if isinstance(found, nn.Module) or not callable(found):
        what = "a network that was made already" if isinstance(found, nn.Module) else f"{article(type(found).__name__)}"
        raise UserError(f"{spec} is {what}, expected a class, or a function that returns a torch.nn.Module")
    return found


def _is_defined_in(module: ModuleType, value: object) -> bool:
    return (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__ == module.__name__


class _FromSource(SourceFileLoader):
    """Reads the code itself, never bytecode kept from before: that of a file of the same size and second is taken."""

    def get_code(self, fullname: str) -> CodeType:
        """Compile the file."""
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


def _import_file(path: Path, spec: str) -> ModuleType:
    """Run a file as a module, under a name that no other module has."""
    if not path.is_file():
        raise UserError(f"there is no file {path}: expected the Python file that defines the network of --arch {spec}")
    stem = re.sub(r"\W", "_", path.stem, flags=re.ASCII)
    name = f"own_{stem}"
    found = importlib.util.spec_from_file_location(name, path, loader=_FromSource(name, str(path)))
    assert found is not None, "its loader is given"
    assert found.loader is not None, "its loader is given"
    module = importlib.util.module_from_spec(found)
    before = sys.modules.get(name)
    sys.modules[name] = module  # dataclasses look their module up
    try:
        with _importing_from(path.parent), _readable(spec):
            found.loader.exec_module(module)
    except BaseException:
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before
        raise
    return module


def _import_module(name: str, spec: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise UserError(
            f"{name!r} is neither a Python file nor a module: expected path/to/net.py:Net or package.module:Net"
        )
    with _importing_from(Path.cwd()), _readable(spec):
        return importlib.import_module(name)


@contextlib.contextmanager
def _importing_from(folder: Path) -> Iterator[None]:
    """Look for modules in a folder first, as Python does for a program in it."""
    entry = str(folder.resolve())
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # the code may have removed it
            sys.path.remove(entry)


@contextlib.contextmanager
def _readable(spec: str) -> Iterator[None]:
    """Turn what the code of an import raises into one line, and lead what it prints to stderr."""
    try:
        with prints_to_stderr():
            yield
    except (Exception, SystemExit) as error:
        if is_from_outside(error):
            raise
        raise UserError(f"cannot import {spec.rpartition(':')[0]}: {raised(error, spec)}") from error


@contextlib.contextmanager
def prints_to_stderr() -> Iterator[None]:
    """Lead to stderr what the user's code prints, one thread at a time, since the process has one stdout."""
    with _PRINTING, contextlib.redirect_stdout(sys.stderr):
        yield


def raised(error: BaseException, spec: str) -> str:
    """Return what was raised, and in which line of the user's file."""
    file = Path(spec.rpartition(":")[0]).name
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).name == file]
    line = error.lineno if isinstance(error, SyntaxError) else next(reversed(lines), None)
    where = f" in line {line} of {file}" if line else ""
    return f"{type(error).__name__} ({one_line(error)}){where}"


def article(noun: str) -> str:
    """Return a noun with its article."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def refuse_unprepared(module: nn.Module) -> None:
    """Raise `UserError` where a module, or one in it, was made without `super().__init__()`: torch can't use it."""
    for name, part in module.named_modules():
        if not hasattr(part, "_modules"):
            raise UserError(
                f"{called(name, part)} was made without super().__init__(): call it first in its class's __init__()"
            )


def called(name: str, part: nn.Module) -> str:
    """Return what a part of a module is called: by its name, which the module itself does not have, and its class."""
    return f"the layer {name} ({type(part).__name__})" if name else f"the {type(part).__name__}"
