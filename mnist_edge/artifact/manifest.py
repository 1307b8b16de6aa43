"""`manifest.json`, the list of what was exported into a folder, the latest last."""

import json
from pathlib import Path
from typing import Any

from mnist_edge.errors import UserError

MANIFEST = "manifest.json"
"""The manifest's file name in the folder of the exports."""

VERSION = 1
"""Version of the manifest's layout."""


def read_manifest(folder: Path) -> list[dict[str, Any]]:
    """Return an entry for each file listed in the folder's manifest; none where there is no manifest.

    Each entry has at least `file`, `format` and `sha256`.

    Raises:
        UserError: the manifest can't be read or understood.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
        if manifest["version"] != VERSION:
            raise ValueError(f"it is of version {manifest['version']}, expected {VERSION}")
        return [_entry(entry) for entry in manifest["artefacts"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"cannot understand {path} ({error}): remove it and export again") from error


def _entry(entry: dict[str, Any]) -> dict[str, Any]:
    for name in ("file", "format", "sha256"):
        if not isinstance(entry[name], str):
            raise TypeError(f"{name} is {entry[name]!r}")
    return entry


def manifest_bytes(entries: list[dict[str, Any]]) -> bytes:
    """Return the content of a manifest with these entries."""
    return (json.dumps({"version": VERSION, "artefacts": entries}, indent=2) + "\n").encode()
