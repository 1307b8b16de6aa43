"""`manifest.json`, the list of what was exported into a folder, the latest last."""

import json
import re
from pathlib import Path
from typing import Any

from mnist_edge.artifact.fields import parse_object, take, take_list, take_text
from mnist_edge.atomic import read_bytes
from mnist_edge.errors import UserError

MANIFEST = "manifest.json"
"""The manifest's file name in the folder of the exports."""

VERSION = 2
"""Version of the manifest's layout."""

_SHA256 = re.compile("[0-9a-f]{64}")


def read_manifest(folder: Path) -> list[dict[str, Any]]:
    """Return an entry for each artifact listed in the folder's manifest; none where there is no manifest.

    Each entry has at least `file`, a name in that folder, `format` and `sha256`.

    Raises:
        UserError: the manifest can't be read or understood.
    """
    path = folder / MANIFEST
    if not path.exists():
        return []
    data = read_bytes(path)
    try:
        manifest = parse_object(data)
        if take(manifest, "version") != VERSION:
            raise ValueError(f"it is of version {str(manifest['version'])[:20]}, expected {VERSION}")
        return [_checked(entry) for entry in take_list(manifest, "artifacts")]
    except ValueError as error:
        raise UserError(f"cannot understand {path} ({error}): remove it and export again") from error


def _checked(entry: object) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise ValueError("an entry is not an object")  # noqa: TRY004 - bad data, not a bad call
    name = take_text(entry, "file")
    if Path(name).name != name or "\0" in name:
        raise ValueError(f"{name[:60]!r} is not the name of a file in the folder")
    if not _SHA256.fullmatch(take_text(entry, "sha256")):
        raise ValueError(f"the SHA-256 of {name[:60]!r} is not 64 hexadecimal digits")
    take_text(entry, "format")
    return entry


def manifest_bytes(entries: list[dict[str, Any]]) -> bytes:
    """Return the content of a manifest with these entries."""
    return (json.dumps({"version": VERSION, "artifacts": entries}, indent=2) + "\n").encode()
