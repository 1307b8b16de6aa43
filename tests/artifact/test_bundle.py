from collections.abc import Mapping
from pathlib import Path

import pytest

from mnist_edge.artifact.bundle import MAX_FILES, SIDECAR, Bundle, metadata_of, read_bundle
from mnist_edge.artifact.checksum import CHECKSUM_KEY, CHECKSUM_PLACEHOLDER, sha256
from mnist_edge.artifact.contract import CONTRACT_KEY, Contract
from mnist_edge.artifact.test_vectors import TEST_VECTORS_KEY
from mnist_edge.atomic import Transaction, transaction
from mnist_edge.errors import ArtifactError, ChecksumError, UserError
from mnist_edge.parity.reference import Reference
from mnist_edge.runtime.builtin_models import DEFAULT_MODEL
from mnist_edge.runtime.recognizer import Recognizer

PLACE = CHECKSUM_PLACEHOLDER.encode()
METADATA = {"a": "1", CHECKSUM_KEY: CHECKSUM_PLACEHOLDER}


def test_an_artifact_of_one_file() -> None:
    bundle = Bundle.of_file(b"model" + PLACE)
    assert (bundle.data, bundle.size, bundle.digest) == (b"model" + PLACE, 5 + len(PLACE), sha256(b"model" + PLACE))
    complete = bundle.with_checksum()
    complete.verify_checksum()
    assert complete.size == bundle.size
    with pytest.raises(ChecksumError, match="altered"):
        Bundle.of_file(complete.data + b"x").verify_checksum()


@pytest.mark.parametrize("folder", [False, True])
def test_a_sidecar_carries_the_metadata_and_the_checksum_of_all(folder: bool, tmp_path: Path) -> None:
    model = Bundle({"model.bin": b"1", "labels.txt": b"2"}, folder=True) if folder else Bundle.of_file(b"model")
    bundle = model.with_sidecar(METADATA).with_checksum()
    bundle.verify_checksum()
    metadata = bundle.sidecar_metadata()
    assert metadata["a"] == "1"
    assert metadata[CHECKSUM_KEY] != CHECKSUM_PLACEHOLDER

    target = tmp_path / "digits.bin"
    with transaction() as changes:
        assert bundle.write(target, changes) == bundle
        assert not target.exists()
    assert read_bundle(target, folder=folder, sidecar=not folder) == bundle
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"digits.bin"} if folder else {"digits.bin", f"digits.bin.{SIDECAR}"}
    assert bundle.size == sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize("folder", [False, True])
def test_what_was_written_is_what_the_disk_gives_back(folder: bool, tmp_path: Path) -> None:
    """And not what should be there: that is judged."""

    class Torn(Transaction):
        """Loses the last byte of each file."""

        def write(self, target: Path, data: bytes) -> Path:
            return super().write(target, data[:-1])

        def write_folder(self, target: Path, files: Mapping[str, bytes]) -> Path:
            return super().write_folder(target, {name: data[:-1] for name, data in files.items()})

    files = {"a": b"12", "b": b"345"} if folder else {"": b"12", f".{SIDECAR}": b"345"}
    changes = Torn()
    found = Bundle(files, folder).write(tmp_path / "model", changes)
    changes.clear()
    assert found == Bundle({name: data[:-1] for name, data in files.items()}, folder)


@pytest.mark.parametrize("folder", [False, True])
def test_each_changed_missing_or_added_file_is_found(folder: bool) -> None:
    model = Bundle({"a": b"1", "b": b"2"}, folder=True) if folder else Bundle.of_file(b"model")
    bundle = model.with_sidecar(METADATA).with_checksum()
    for name, data in bundle.files.items():
        with pytest.raises(ChecksumError):
            Bundle({**bundle.files, name: data[:-1] + b"?"}, folder).verify_checksum()
        rest = {other: data for other, data in bundle.files.items() if other != name}
        with pytest.raises(ChecksumError):
            Bundle(rest, folder).verify_checksum()
    with pytest.raises(ChecksumError):
        Bundle({**bundle.files, "c": b""}, folder).verify_checksum()


def test_a_sidecar_that_is_missing_or_damaged_is_said_so() -> None:
    with pytest.raises(ArtifactError, match=r"has no metadata\.json beside it"):
        Bundle.of_file(b"model").sidecar_metadata()
    with pytest.raises(ArtifactError, match=r"has no metadata\.json beside it"):
        Bundle({"a": b"model"}, folder=True).sidecar_metadata()
    for data in (
        b"",
        b"[]",
        b'{"a": 1}',
        b"\xff\xfe",
        b'{"a":' + b"[" * 100_000,
        b'{"a": "' + b"x" * 20_000_000 + b'"}',
    ):
        with pytest.raises(ArtifactError, match=r"its metadata\.json is damaged"):
            Bundle({"": b"model", f".{SIDECAR}": data}).sidecar_metadata()


def test_what_is_not_there_or_of_the_other_kind_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="No such file"):
        read_bundle(tmp_path / "missing", folder=False, sidecar=True)
    with pytest.raises(UserError, match="expected a folder"):
        read_bundle(tmp_path / "missing", folder=True, sidecar=False)
    with pytest.raises(UserError, match="expected a folder"):
        read_bundle(tmp_path / "file", folder=True, sidecar=False)
    with pytest.raises(UserError, match="cannot read"):
        read_bundle(tmp_path / "folder", folder=False, sidecar=False)
    with pytest.raises(UserError, match="holds 0 files, expected 1 to 100"):
        read_bundle(tmp_path / "folder", folder=True, sidecar=False)
    for number in range(MAX_FILES + 1):
        (tmp_path / "folder" / str(number)).write_bytes(b"")
    with pytest.raises(UserError, match="holds 101 files"):
        read_bundle(tmp_path / "folder", folder=True, sidecar=False)


def test_a_sidecar_is_read_only_where_the_format_has_one(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"1")
    (tmp_path / f"model.bin.{SIDECAR}").write_bytes(b"{}")
    assert read_bundle(path, folder=False, sidecar=False) == Bundle.of_file(b"1")
    assert read_bundle(path, folder=False, sidecar=True) == Bundle({"": b"1", f".{SIDECAR}": b"{}"})


def test_an_artifact_carries_contract_test_vectors_and_a_place_for_its_checksum(reference: Reference) -> None:
    contract = Recognizer(DEFAULT_MODEL).runner.contract
    metadata = metadata_of(contract, reference.test_vectors)
    assert set(metadata) == {CONTRACT_KEY, TEST_VECTORS_KEY, CHECKSUM_KEY}
    assert Contract.from_json(metadata[CONTRACT_KEY]) == contract
    assert metadata[TEST_VECTORS_KEY] == reference.test_vectors.to_json()
    Bundle.of_file(b"model").with_sidecar(metadata).with_checksum().verify_checksum()
