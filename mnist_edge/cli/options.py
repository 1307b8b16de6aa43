"""Options that several sub-commands share."""

import contextlib
import math
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from mnist_edge.artifact.contract import NO_LICENSE
from mnist_edge.artifact.names import BUILTIN_ARCHITECTURES, is_own
from mnist_edge.errors import UserError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from mnist_edge.formats.base import FormatSpec

Command = TypeVar("Command", bound=Callable[..., Any])

Offer = Callable[[click.Context, click.Parameter, str], "list[CompletionItem]"]
"""Returns what a shell may complete a word to."""

CHECKPOINTS = Path("checkpoints")
"""The folder where `train` writes and `export` reads, unless told otherwise."""


def checkpoint_files() -> list[Path]:
    """Return the files in `CHECKPOINTS` that have the name of a checkpoint, without folders and links to nothing."""
    return [path for path in sorted(CHECKPOINTS.glob("*.safetensors")) if path.is_file()]


def last_checkpoint() -> Path:
    """Return the checkpoint that was written last in `CHECKPOINTS`; the name of one of MNIST where there is none."""
    found = sorted(checkpoint_files(), key=lambda path: (path.stat().st_mtime_ns, path.name))
    return found[-1] if found else CHECKPOINTS / "mnist-mlp.safetensors"


def files_or(*names: str, kind: Literal["file", "dir"] = "file") -> Offer:
    """Return what offers a shell the names of files, or of folders, and these names."""

    def offer(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> "list[CompletionItem]":
        from click.shell_completion import CompletionItem

        fitting = [name for name in names if name.startswith(incomplete)]
        if not fitting:
            return [CompletionItem(incomplete, type=kind)]
        return [*map(CompletionItem, (*fitting, *_paths_here(incomplete, kind)))]

    return offer


def _paths_here(beginning: str, kind: Literal["file", "dir"]) -> list[str]:
    """Return the names in the current folder that begin so, of folders with a slash, but for those to be quoted.

    bash asks for the names of files itself only where it is offered nothing else.
    """
    with contextlib.suppress(OSError):  # there may be no such folder
        paths = [path for path in sorted(Path().iterdir()) if _OFFERED.match(path.name)]
        fitting = [(path.name, path.is_dir()) for path in paths if path.name.startswith(beginning)]
        return [f"{name}/" if is_dir else name for name, is_dir in fitting if is_dir or kind == "file"]
    return []


_OFFERED = re.compile(r"[\w@%+=,-][\w@%+=,.-]*\Z")
"""Names that are neither hidden nor to be quoted in a shell."""


class Finite(click.FloatRange):
    """A number in a range; NaN and infinity, which compare with nothing, are refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        """Return the number."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number


class Architecture(click.ParamType[str]):
    """The name of an architecture: of the registry, or `path/to/net.py:Net` or `package.module:Net`."""

    name = "architecture"

    def __init__(self, *, builtin: bool = True) -> None:
        self.builtin = BUILTIN_ARCHITECTURES if builtin else ()

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return what the help shows."""
        return f"[{'|'.join((*self.builtin, 'FILE.py:NAME', 'MODULE:NAME'))}]"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name."""
        if value not in self.builtin and not is_own(value):
            self.fail(
                f"{value!r} is not one of {', '.join((*self.builtin, 'path/to/net.py:Net', 'package.module:Net'))}",
                param,
                ctx,
            )
        return value

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> "list[CompletionItem]":
        """Offer the architectures of the registry and the names of files."""
        return files_or(*self.builtin)(ctx, param, incomplete)


pictures = click.option(
    "--dataset",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="For a checkpoint of a folder of pictures: where that is now.  [default: where it was]",
)

own_architecture = click.option(
    "--arch",
    "architecture",
    type=Architecture(builtin=False),
    show_default="none",
    help="For a checkpoint of your own network: its code, which is run, as a file or as package.module:NAME.",
)

data_dir = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("data"),
    show_default=True,
    help="Folder that holds the data set, MNIST in MNIST/raw; missing files are downloaded.",
)


class License(click.ParamType[str]):
    """An SPDX license expression, such as `Apache-2.0`; whether its names are on SPDX's list is not looked up."""

    name = "license"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return what the help shows."""
        return "SPDX"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the expression."""
        if not re.fullmatch(r"[A-Za-z0-9.+:() -]{1,200}", value):
            self.fail(f"{value!r} is not an SPDX expression, such as Apache-2.0 or CC-BY-4.0", param, ctx)
        return value


license_of_weights = click.option(
    "--license",
    "license_",
    type=License(),
    default=NO_LICENSE,
    show_default="NOASSERTION, which says nothing",
    help="License of the weights, which every export carries.",
)


def targets(what: str) -> Callable[[Command], Command]:
    """Return the option for emulated devices; its help begins with `what`, such as "Also run the files"."""
    return click.option(
        "--target",
        "targets",
        multiple=True,
        metavar="TARGET",
        help=f"{what} on an emulated device, such as cortex-m4 or aarch64, or on all; may be given more than once.",
    )


def named_targets(names: tuple[str, ...], specs: "Iterable[FormatSpec]") -> tuple[str, ...]:
    """Return the targets that are meant, as `chosen_targets` does; a usage error where none of the formats has them."""
    from mnist_edge.formats.targets import chosen_targets

    try:
        return chosen_targets(names, specs)
    except UserError as error:
        raise click.UsageError(f"{error}.") from error


target_images = click.option(
    "--target-images", type=click.IntRange(min=1), metavar="N", help="On how many of the test images.  [default: all]"
)

TARGET_IMAGES_ALONE = "--target-images goes with --target."

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")

quiet = click.option("-q", "--quiet", is_flag=True, help="Show no progress on stderr.")
