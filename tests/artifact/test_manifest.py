import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_edge.artifact.manifest import MANIFEST, VERSION, manifest_bytes, read_manifest
from mnist_edge.errors import UserError

ENTRY: dict[str, Any] = {"file": "a.onnx", "format": "onnx", "sha256": "0" * 64}


def write(folder: Path, content: bytes) -> Path:
    (folder / MANIFEST).write_bytes(content)
    return folder


def test_a_folder_without_one_lists_nothing(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) == read_manifest(tmp_path / "missing") == []


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    entries = [ENTRY, {**ENTRY, "file": "b.pt", "more": {"figures": [1.5]}}]
    assert read_manifest(write(tmp_path, manifest_bytes(entries))) == entries
    written = json.loads(manifest_bytes(entries))
    assert (written["version"], written["artifacts"]) == (VERSION, entries)


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b"null", b"\xff\xfe\x00", b'{"name": "a browser extension"}', b'{"version": 2}'),
        *(b'{"version": 1, "artifacts": []}', b'{"version": "2", "artifacts": []}', b'{"version": 2, "artifacts": {}}'),
        *(b"[" * 100_000, b'{"version": 2, "artifacts": [' + b"[" * 100_000),
    ],
    ids=lambda content: content[:30].decode("latin-1"),
)
def test_what_is_not_a_manifest_is_one_line(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"cannot understand .*{MANIFEST} \(.+\): remove it") as caught:
        read_manifest(write(tmp_path, content))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["", ".", "..", "../a.onnx", "/etc/passwd", "a/b.onnx", "a\0b", "a/", 7, None, ["a"]])
def test_a_name_that_leaves_the_folder_is_refused(name: object, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot understand"):
        read_manifest(write(tmp_path, manifest_bytes([ENTRY, {**ENTRY, "file": name}])))


@pytest.mark.parametrize("digest", ["", "0" * 63, "0" * 65, "A" * 64, "g" * 64, 7, None])
def test_a_digest_that_is_not_one_is_refused(digest: object, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot understand"):
        read_manifest(write(tmp_path, manifest_bytes([{**ENTRY, "sha256": digest}])))


@pytest.mark.parametrize("name", ENTRY)
def test_an_entry_without_a_field_is_refused(name: str, tmp_path: Path) -> None:
    entry = {other: value for other, value in ENTRY.items() if other != name}
    with pytest.raises(UserError, match=f"cannot understand .*{name} is missing"):
        read_manifest(write(tmp_path, manifest_bytes([entry])))


@pytest.mark.parametrize("entry", [None, 7, "a.onnx", ["a.onnx"]])
def test_an_entry_that_is_not_an_object_is_refused(entry: object, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="an entry is not an object"):
        read_manifest(write(tmp_path, manifest_bytes([entry])))  # type: ignore[list-item]


@given(content=st.binary())
def test_no_content_raises_anything_else(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(UserError):
        read_manifest(write(tmp_path_factory.getbasetemp(), content))


def test_one_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).mkdir()
    with pytest.raises(UserError, match="cannot read"):
        read_manifest(tmp_path)
