"""The exported artifacts that a command line names: files, artifacts that are folders, folders of exports."""

from collections.abc import Iterable
from pathlib import Path

from mnist_edge.artifact.manifest import MANIFEST, listed_artifacts
from mnist_edge.formats.registry import FORMATS


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


def _holds_artifacts(path: Path) -> bool:
    return path.is_dir() and not any(spec.folder and path.name.endswith(spec.suffix) for spec in FORMATS.values())
