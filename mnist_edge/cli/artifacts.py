"""The exported artifacts that a command line names: files, artifacts that are folders, folders of exports."""

import contextlib
from collections.abc import Iterable
from pathlib import Path

from mnist_edge.artifact.checksum import sha256
from mnist_edge.artifact.manifest import MANIFEST, listed_artifacts, read_manifest
from mnist_edge.cli.options import checkpoint_files, last_checkpoint
from mnist_edge.cli.output import note
from mnist_edge.errors import UserError
from mnist_edge.formats.registry import FORMATS
from mnist_edge.reading import read_bytes

README = "README.md"
"""What says, in a checkout's `exports/`, what the folder is for."""


def expand(paths: Iterable[Path]) -> list[Path]:
    """Return the artifacts that are meant, each once.

    A folder whose name has the suffix of a format of folders is an artifact. Any other folder stands for what its
    manifest lists. What lies beside artifacts in a checkout's `exports/`, and `exports/*` names too, is passed over.

    Raises:
        UserError: a folder has no manifest, or one that can't be understood; or all that is named is passed over.
    """
    paths = list(paths)
    named = [path for path in paths if path.name not in (MANIFEST, README)]
    if paths and not named:
        what = f"{paths[0]} is not" if len(paths) == 1 else f"none of {', '.join(map(str, paths))} is"
        raise UserError(
            f"{what} an exported artifact: name the files themselves, or a folder whose {MANIFEST} lists them"
        )
    found = [each for path in named for each in (listed_artifacts(path) if _holds_artifacts(path) else [path])]
    return list(dict.fromkeys(found))


def checkpoints_of(artifacts: Iterable[Path]) -> dict[Path, Path]:
    """Return the checkpoint in the folder of the checkpoints that each of these artifacts was made from.

    Of one where no manifest says which, or where that is not there, it is that of the first other artifact, or else the
    one that was trained last.
    """
    made_from = {path: _listed_checkpoint(path) for path in artifacts}
    wanted = set(filter(None, made_from.values()))
    there = checkpoint_files() if wanted else []
    known = {digest: path for path in there if (digest := _digest(path)) in wanted}
    found = {path: known.get(digest or "") for path, digest in made_from.items()}
    other = next(filter(None, found.values()), None) or last_checkpoint()
    return {path: checkpoint or other for path, checkpoint in found.items()}


def _digest(checkpoint: Path) -> str | None:
    """Return the digest of a file that may be the one that is looked for; None, and a note, where it can't be read."""
    try:
        return sha256(read_bytes(checkpoint))
    except UserError as error:
        note(f"{checkpoint} is passed over: {error}")
        return None


def _listed_checkpoint(artifact: Path) -> str | None:
    """Return the digest of the checkpoint that the manifest beside an artifact names; None where there is none."""
    with contextlib.suppress(UserError):  # it is reported where the artifact is judged
        for entry in read_manifest(artifact.parent):
            if entry["file"] == artifact.name:
                return str(entry.get("checkpoint"))
    return None


def _holds_artifacts(path: Path) -> bool:
    return path.is_dir() and not any(spec.folder and path.name.endswith(spec.suffix) for spec in FORMATS.values())
