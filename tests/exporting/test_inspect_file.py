import json
from pathlib import Path

import pytest

from mnist_edge.errors import UserError
from mnist_edge.exporting.inspect_file import describe
from mnist_edge.exporting.pipeline import Artifact
from tests.conftest import RELEASES


@pytest.mark.slow
def test_the_groups_of_an_artifact_are_json(exported: list[Artifact]) -> None:
    for artifact in exported:
        groups = describe(artifact.path)
        assert list(groups) == ["file", "contract", "provenance", "test_vectors", "structure"]
        json.dumps(groups, allow_nan=False)
        assert groups["file"]["bytes"] == artifact.size
        assert groups["provenance"]["producer"] == artifact.contract.producer
        assert groups["contract"]["options"] == artifact.contract.options


@pytest.mark.parametrize("name", RELEASES)
def test_the_groups_of_a_checkpoint_are_json(name: str) -> None:
    groups = describe(RELEASES[name])
    assert list(groups) == ["file", "task", "recipe", "provenance", "structure"]
    json.dumps(groups, allow_nan=False)
    assert groups["provenance"]["architecture"] == name
    assert groups["file"]["bytes"] == RELEASES[name].stat().st_size


def test_a_broken_checksum_is_said_so(exports: Path, tmp_path: Path) -> None:
    data = bytearray((exports / "mnist-mlp.onnx").read_bytes())
    data[100_000] ^= 1  # in the weights
    path = tmp_path / "a.onnx"
    path.write_bytes(data)
    assert describe(path)["file"]["checksum"] == "broken: it was altered since it was exported"


def test_what_is_neither_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"nothing")
    with pytest.raises(
        UserError, match=r"cannot (load|use) .*; expected an? (file|artifact) made by `mnist-edge export`"
    ) as caught:
        describe(tmp_path / "a.onnx")
    assert "\n" not in str(caught.value)
