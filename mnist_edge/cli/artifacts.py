"""The exported artifacts that a command line names: files, artifacts that are folders, folders of exports."""

import contextlib
from collections.abc import Iterable
from pathlib import Path

from mnist_edge.artifact.checksum import sha256
from mnist_edge.artifact.manifest import MANIFEST, listed_artifacts, read_manifest
from mnist_edge.cli.options import CHECKPOINTS, last_checkpoint
from mnist_edge.errors import UserError
from mnist_edge.formats.registry import FORMATS
from mnist_edge.reading import read_bytes


def expand(paths: Iterable[Path]) -> list[Path]:
    """Return the artifacts that are meant, each once.

    A folder whose name has the suffix of a format of folders is an artifact. Any other folder stands for what its
    manifest lists.

    Raises:
        UserError: a folder has no manifest, or one that can't be understood.
    """
    named = [path for path in paths if path.name != MANIFEST]  # which `exports/*` names too
    found = [each for path in named for each in (listed_artifacts(path) if _holds_artifacts(path) else [path])]
    return list(dict.fromkeys(found))


def checkpoint_of(artifacts: Iterable[Path]) -> Path:
    """Return the checkpoint in the folder of the checkpoints that the first listed of these artifacts was made from.

    Where no manifest says which, or it is not there, it is the one that was trained last.
    """
    digests: set[str | None] = set()
    for path in artifacts:
        with contextlib.suppress(UserError):  # it is reported where the artifact is judged
            digests |= {entry.get("checkpoint") for entry in read_manifest(path.parent) if entry["file"] == path.name}
    for path in sorted(CHECKPOINTS.glob("*.safetensors")) if digests else ():
        if path.is_file() and sha256(read_bytes(path)) in digests:
            return path
    return last_checkpoint()


def _holds_artifacts(path: Path) -> bool:
    return path.is_dir() and not any(spec.folder and path.name.endswith(spec.suffix) for spec in FORMATS.values())
