"""Manifests that somebody else has put into the folder of the exports."""

import os
from pathlib import Path

import pytest

from mnist_edge.artifact.manifest import MANIFEST, listed_artifacts, manifest_bytes, read_manifest
from mnist_edge.errors import UserError
from mnist_edge.runtime.builtin_models import DEFAULT_MODEL


def test_a_pipe_a_device_and_a_file_without_end_are_refused(tmp_path: Path) -> None:
    manifest = tmp_path / MANIFEST
    os.mkfifo(manifest)
    with pytest.raises(UserError, match="it is a pipe, a device or a socket"):
        read_manifest(tmp_path)
    manifest.unlink()
    manifest.symlink_to("/dev/zero")
    with pytest.raises(UserError, match="it is a pipe, a device or a socket"):
        read_manifest(tmp_path)
    manifest.unlink()
    manifest.touch()
    os.truncate(manifest, 1 << 40)
    with pytest.raises(UserError, match="it is longer than"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("name", ["../a.onnx", "/etc/passwd", "..", "b/a.onnx"])
def test_no_file_outside_the_folder_is_listed(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "exports"
    (folder / "b").mkdir(parents=True)
    for place in (tmp_path, folder / "b"):
        (place / "a.onnx").write_bytes(DEFAULT_MODEL.read_bytes())
    (folder / MANIFEST).write_bytes(manifest_bytes([{"file": name, "format": "onnx", "sha256": "0" * 64}]))
    with pytest.raises(UserError, match="is not the name of a file in the folder"):
        listed_artifacts(folder)
