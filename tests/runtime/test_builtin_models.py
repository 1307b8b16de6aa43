from pathlib import Path

import pytest

from mnist_edge.artifact.checksum import sha256
from mnist_edge.artifact.manifest import MANIFEST, manifest_bytes
from mnist_edge.errors import UserError
from mnist_edge.runtime.builtin_models import BUILTIN_MODELS, DEFAULT_MODEL, default_model


def listing(folder: Path, *files: tuple[str, str]) -> Path:
    entries = [{"file": name, "format": format, "sha256": sha256(name.encode())} for name, format in files]
    (folder / MANIFEST).write_bytes(manifest_bytes(entries))
    return folder


def test_the_built_in_models_are_there() -> None:
    assert set(BUILTIN_MODELS) == {"mlp", "cnn"}
    assert all(path.is_file() for path in BUILTIN_MODELS.values())
    assert BUILTIN_MODELS["mlp"] == DEFAULT_MODEL


def test_without_exports_it_is_the_built_in_one(tmp_path: Path) -> None:
    assert default_model(tmp_path) == default_model(tmp_path / "missing") == DEFAULT_MODEL
    assert default_model(listing(tmp_path)) == DEFAULT_MODEL


def test_it_is_the_onnx_file_that_was_exported_last_and_is_there(tmp_path: Path) -> None:
    listing(tmp_path, ("a.onnx", "onnx"), ("b.onnx", "onnx"), ("c.pt", "torchscript"), ("gone.onnx", "onnx"))
    for name in ("a.onnx", "b.onnx", "c.pt"):
        (tmp_path / name).write_bytes(name.encode())
    assert default_model(tmp_path) == tmp_path / "b.onnx"


def test_a_file_that_is_not_the_one_that_was_exported_is_refused(tmp_path: Path) -> None:
    listing(tmp_path, ("a.onnx", "onnx"))
    (tmp_path / "a.onnx").write_bytes(b"another")
    with pytest.raises(UserError, match=r"is not the file that .*manifest\.json lists"):
        default_model(tmp_path)


def test_a_manifest_that_is_not_understood_is_one_line(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text("nothing")
    with pytest.raises(UserError, match="cannot understand"):
        default_model(tmp_path)
