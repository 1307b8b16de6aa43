"""An artifact as bytes: one file or a folder of files, with its metadata inside or in a sidecar beside it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mnist_edge.artifact.checksum import CHECKSUM_KEY, CHECKSUM_PLACEHOLDER, digest_of, embed_checksum, verify_checksum
from mnist_edge.artifact.contract import CONTRACT_KEY, Contract
from mnist_edge.artifact.fields import parse_object, take_text
from mnist_edge.artifact.test_vectors import MAX_BYTES, TEST_VECTORS_KEY, TestVectors
from mnist_edge.atomic import Transaction
from mnist_edge.errors import ArtifactError, UserError
from mnist_edge.locks import locked
from mnist_edge.reading import read_bytes

SIDECAR = "metadata.json"
"""The sidecar's name in a folder. That of a single file has the file's name and a dot before it."""

MAX_FILES = 100
"""Most files of a folder."""


@dataclass(frozen=True)
class Bundle:
    """The bytes of one artifact.

    Attributes:
        files: content by name. A single file has the name "", and its sidecar, if any, `.metadata.json`: what is put
            behind the artifact's own name. In a folder they are the names in it.
        folder: whether it is one.
    """

    files: Mapping[str, bytes] = field(repr=False)
    folder: bool = False

    @classmethod
    def of_file(cls, data: bytes) -> "Bundle":
        """Return an artifact that is one file."""
        return cls({"": data})

    @property
    def data(self) -> bytes:
        """The content of an artifact that is one file, without its sidecar."""
        return self.files[""]

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(map(len, self.files.values()))

    @property
    def digest(self) -> str:
        """Its SHA-256, as 64 hexadecimal digits: see `mnist_edge.artifact.checksum.digest_of`."""
        return digest_of(self.files)

    @property
    def sidecar_name(self) -> str:
        """Key of the sidecar in `files`."""
        return SIDECAR if self.folder else f".{SIDECAR}"

    def with_sidecar(self, metadata: Mapping[str, str]) -> "Bundle":
        """Return the artifact with its metadata beside it, for a format that has no room for them."""
        text = json.dumps(metadata, indent=1, sort_keys=True)
        return Bundle({**self.files, self.sidecar_name: text.encode()}, self.folder)

    def sidecar_metadata(self) -> dict[str, str]:
        """Return the metadata in the sidecar.

        Raises:
            ArtifactError: there is none, or it is damaged.
        """
        if self.sidecar_name not in self.files:
            raise ArtifactError(f"it has no {self.sidecar_name.lstrip('.')} beside it")
        try:
            fields = parse_object(self.files[self.sidecar_name])
            return {name: take_text(fields, name, 4 * MAX_BYTES) for name in fields}
        except ValueError as error:
            raise ArtifactError(f"its {self.sidecar_name.lstrip('.')} is damaged ({error})") from error

    def with_checksum(self) -> "Bundle":
        """Return the artifact with its checksum filled in; raises `ChecksumError` where there is no place for it."""
        return Bundle(embed_checksum(self.files), self.folder)

    def verify_checksum(self) -> None:
        """Return if the artifact is as it was exported; raises `ChecksumError` where it is not."""
        verify_checksum(self.files)

    def write(self, target: Path, transaction: Transaction) -> "Bundle":
        """Stage the artifact for `target` and return it as it is on the disk now.

        Raises:
            UserError: it can't be written.
        """
        if self.folder:
            staged = transaction.write_folder(target, self.files)
            return Bundle({name: read_bytes(staged / name) for name in self.files}, folder=True)
        return Bundle(
            {
                name: read_bytes(transaction.write(target.with_name(target.name + name), data))
                for name, data in self.files.items()
            }
        )


def metadata_of(contract: Contract, test_vectors: TestVectors) -> dict[str, str]:
    """Return what an artifact carries, by key, with a place for its checksum."""
    return {
        CONTRACT_KEY: contract.to_json(),
        TEST_VECTORS_KEY: test_vectors.to_json(),
        CHECKSUM_KEY: CHECKSUM_PLACEHOLDER,
    }


def read_bundle(path: Path, *, folder: bool, sidecar: bool) -> Bundle:
    """Read an artifact, each of its files once, all of the same export.

    Args:
        path: of the file or the folder.
        folder: whether artifacts of this kind are folders.
        sidecar: whether a single file has a sidecar.

    Raises:
        UserError: it can't be read, or is the other kind.
    """
    if not folder and not sidecar:
        return Bundle.of_file(read_bytes(path))
    with locked(path.parent, shared=True):
        return _read_files(path, folder)


def _read_files(path: Path, folder: bool) -> Bundle:
    """Read an artifact of several files, which no export may replace meanwhile."""
    if not folder:
        names = ["", f".{SIDECAR}"]
        present = [name for name in names if not name or path.with_name(path.name + name).exists()]
        return Bundle({name: read_bytes(path.with_name(path.name + name)) for name in present})
    try:
        entries = sorted(path.iterdir())
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; expected a folder") from error
    if not 0 < len(entries) <= MAX_FILES:
        raise UserError(f"cannot read {path}: it holds {len(entries):,} files, expected 1 to {MAX_FILES}")
    return Bundle({entry.name: read_bytes(entry) for entry in entries}, folder=True)
