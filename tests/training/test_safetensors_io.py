import hashlib
from pathlib import Path

import pytest
import torch

from mnist_edge.errors import UserError
from mnist_edge.training.safetensors_io import read_tensors, tensors_to_bytes, write_tensors

TENSORS = {"b": torch.arange(6.0).reshape(2, 3).T, "a": torch.tensor([1, 2])}
METADATA = {"z": [1, None], "a": {"é": 0.1}}


def test_tensors_and_metadata_come_back_as_they_were(tmp_path: Path) -> None:
    write_tensors(tmp_path / "t", TENSORS, METADATA)
    tensors, metadata, digest = read_tensors(tmp_path / "t", "a file")
    assert metadata == METADATA
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)
    assert digest == hashlib.sha256((tmp_path / "t").read_bytes()).hexdigest()


def test_the_same_content_gives_the_same_bytes() -> None:
    assert tensors_to_bytes(TENSORS, METADATA) == tensors_to_bytes(dict(reversed(TENSORS.items())), METADATA)


@pytest.mark.parametrize("content", [b"", b"\xff" * 8, b"\x02" + bytes(7) + b"{}", b"PK\x03\x04", b"[" * 5000])
def test_another_file_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(UserError, match="is not a toy of mnist-edge, or is damaged") as caught:
        read_tensors(tmp_path / "t", "a toy")
    assert "\n" not in str(caught.value)
