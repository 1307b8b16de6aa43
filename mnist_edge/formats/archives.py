"""Zip archives that torch writes, read member by member before torch is given any of it."""

import io
import re
import zipfile
from collections.abc import Mapping

from mnist_edge.artifact.contract import CONTRACT_KEY
from mnist_edge.artifact.test_vectors import TEST_VECTORS_KEY
from mnist_edge.errors import ArtifactError

MAX_MEMBERS = 2_000
"""Most members of an archive."""

METADATA_MEMBERS = rf"extra/(?:{re.escape(CONTRACT_KEY)}|{re.escape(TEST_VECTORS_KEY)})"
"""Pattern of the members in which an archive carries its metadata."""

_ROOT = "archive/"


def read_members(data: bytes, allowed: re.Pattern[str]) -> dict[str, bytes]:
    """Return the members of a zip archive that are stored as they are, by their names under its root folder.

    Raises:
        ArtifactError: it is not an archive, or holds something else.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            _check_entries(entries, len(data), allowed)
            return {entry.filename.removeprefix(_ROOT): archive.read(entry) for entry in entries}
    # All of these are what zipfile raises: bad structure, unknown compression, encryption, bad fields, a cut-off end.
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError, OSError) as error:
        raise ArtifactError("it is not an archive that torch wrote, or is damaged") from error


def _check_entries(entries: list[zipfile.ZipInfo], size: int, allowed: re.Pattern[str]) -> None:
    names = [entry.filename for entry in entries]
    if len(names) > MAX_MEMBERS or len(set(names)) != len(names):
        raise ArtifactError("it has too many members, or two of one name")
    if sum(entry.file_size for entry in entries) > size or any(entry.compress_type for entry in entries):
        raise ArtifactError("its members are compressed, or overlap")
    for name in names:
        if not name.startswith(_ROOT) or not allowed.fullmatch(name.removeprefix(_ROOT)):
            raise ArtifactError(f"it holds {name[:80]!r}, which does not belong there")


def pack_archive(members: Mapping[str, bytes]) -> bytes:
    """Return an archive with these members, for torch to load."""
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(_ROOT + name), data)
    return result.getvalue()


def metadata_of(members: Mapping[str, bytes]) -> dict[str, str]:
    """Return what an archive carries, by key; raises `ArtifactError` where it is not text."""
    try:
        return {
            key: members[f"extra/{key}"].decode()
            for key in (CONTRACT_KEY, TEST_VECTORS_KEY)
            if f"extra/{key}" in members
        }
    except UnicodeDecodeError as error:
        raise ArtifactError("its metadata is damaged") from error
