"""`manifest.json`, the list of what was exported into a folder, the latest last."""

import json
from pathlib import Path
from typing import Any

from mnist_edge.artifact.fields import expect_version, one_line, parse_object, take_list, take_sha256, take_text
from mnist_edge.errors import UserError
from mnist_edge.reading import read_bytes

MANIFEST = "manifest.json"
"""The manifest's file name in the folder of the exports."""

VERSION = 2
"""Version of the manifest's layout."""


def read_manifest(folder: Path) -> list[dict[str, Any]]:
    """Return an entry for each artifact listed in the folder's manifest; none where there is no manifest.

    Each entry has at least `file`, a name in that folder, `format` and `sha256`. After an export that was killed, a
    file may have two entries, and be as either says.

    Raises:
        UserError: the manifest can't be read or understood.
    """
    path = folder / MANIFEST
    if not path.exists():
        return []
    data = read_bytes(path)
    try:
        manifest = parse_object(data)
        expect_version(manifest, VERSION)
        return [_checked(entry) for entry in take_list(manifest, "artifacts")]
    except ValueError as error:
        raise UserError(f"cannot understand {path} ({one_line(error)}): remove it and export again") from error


def listed_artifacts(folder: Path) -> list[Path]:
    """Return each artifact that the folder's manifest lists, the latest last, whether it is there or not.

    Raises:
        UserError: there is no manifest, it lists nothing, or it can't be read or understood.
    """
    names = dict.fromkeys(entry["file"] for entry in read_manifest(folder))
    if not names:
        raise UserError(f"{folder} has no {MANIFEST} that lists what was exported into it: name the files themselves")
    return [folder / name for name in names]


def _checked(entry: object) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise ValueError("an entry is not an object")
    name = take_text(entry, "file")
    if name in ("", "..") or Path(name).name != name or "\0" in name:
        raise ValueError(f"{name[:60]!r} is not the name of a file in the folder")
    take_sha256(entry, "sha256")
    take_text(entry, "format")
    return entry


def manifest_bytes(entries: list[dict[str, Any]]) -> bytes:
    """Return the content of a manifest with these entries."""
    return (json.dumps({"version": VERSION, "artifacts": entries}, indent=2) + "\n").encode()
