"""The four files of MNIST on disk: where they must lie, and what is wrong with one that is not as it should be."""

import gzip
import hashlib
import io
import math
import zlib
from pathlib import Path

from mnist_edge.atomic import atomic_write
from mnist_edge.errors import UserError
from mnist_edge.reading import MAX_FILE_BYTES, read_bytes

FILES = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
"""MD5 of each of the packed files, by its name, as `torchvision.datasets.MNIST.resources` has them."""

LONGEST = 1 << 26
"""Bytes that no unpacked file of MNIST reaches; the longest has 47,040,016."""

_MAGIC = {"images": bytes((0, 0, 8, 3)), "labels": bytes((0, 0, 8, 1))}
"""First bytes of an IDX file of unsigned bytes: its type and its number of dimensions (http://yann.lecun.com/exdb/mnist)."""


def raw_folder(data_dir: Path) -> Path:
    """Return the folder in which torchvision looks for the files."""
    return data_dir / "MNIST" / "raw"


def unpack(data_dir: Path) -> None:
    """Unpack the files under `data_dir`, each in one step, which torchvision would do in place, and check them.

    Files that are missing are left to be downloaded.

    Raises:
        UserError: one is not what it should be, one lies in another folder, or one can't be written.
    """
    raw = raw_folder(data_dir)
    for name, digest in FILES.items():
        packed = raw / name
        unpacked = packed.with_suffix("")
        for path in (packed, unpacked):
            _check_file(path)
        if unpacked.exists():
            if wrong := _wrong_with_unpacked(unpacked):
                raise UserError(f"{unpacked} {wrong}: remove it, and it is unpacked or downloaded again")
        elif packed.exists():
            data = read_bytes(packed)
            if wrong := _wrong_with_packed(data, digest):
                raise UserError(
                    f"{packed} {wrong}: remove it, and it is downloaded, or put MNIST's own file in its place"
                )
            atomic_write(unpacked, gzip.decompress(data))
        elif advice := _misplaced(data_dir, name):
            raise UserError(f"{packed} is missing: {advice}")


def missing(data_dir: Path) -> list[str]:
    """Return the names of the files that are there neither packed nor unpacked."""
    raw = raw_folder(data_dir)
    return [name for name in FILES if not _has(raw, name)]


def _check_file(path: Path) -> None:
    """Refuse a pipe, for which torchvision would wait, and a file that is too long."""
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is not a file: remove it")
    if path.exists() and path.stat().st_size > MAX_FILE_BYTES:
        raise UserError(f"{path} is longer than {MAX_FILE_BYTES:,} bytes: it is not MNIST's, remove it")


def _wrong_with_unpacked(path: Path) -> str:
    """Say what is wrong with an IDX file, judged by its header and its length; nothing if it is empty."""
    with path.open("rb") as file:
        head = file.read(16)
    magic = _MAGIC["images" if "images" in path.name else "labels"]
    if head[:4] != magic:
        return f"begins with {head[:4].hex() or 'nothing'}, expected {magic.hex()} (an IDX file of bytes)"
    sizes = [int.from_bytes(head[4 * index : 4 * index + 4], "big") for index in range(1, 1 + magic[3])]
    expected, found = 4 + 4 * len(sizes) + math.prod(sizes), path.stat().st_size
    if found < expected:
        return f"is truncated: {found:,} of {expected:,} bytes"
    return f"is {found:,} bytes long, expected {expected:,} by its header" if found > expected else ""


def _wrong_with_packed(data: bytes, digest: str) -> str:
    """Say what is wrong with a packed file that should have this MD5; nothing if it is empty."""
    found = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if found == digest:
        return ""
    if not data.startswith(b"\x1f\x8b"):
        return f"is not a gzip file: it begins with {data[:4].hex() or 'nothing'}"
    try:
        with gzip.open(io.BytesIO(data)) as file:
            file.read(LONGEST)
    except EOFError:
        return f"is truncated after {len(data):,} bytes"
    except (OSError, zlib.error) as error:
        return f"is damaged ({error})"
    return f"is not MNIST's: its MD5 is {found}, expected {digest}"


def _misplaced(data_dir: Path, name: str) -> str:
    """Say what to do where a file lies near where it should be; nothing if it is not found."""
    here = data_dir.absolute()
    above = {"MNIST": [here.parent], "raw": [here.parent.parent]}.get(here.name, [])
    for home in (*above, *sorted(here.glob("*"))):
        if _has(raw_folder(home), name):
            return f"--data-dir must be the folder that holds MNIST/raw, here {home}"
    for folder in (data_dir, data_dir / "raw", data_dir / "MNIST"):
        if _has(folder, name):
            return f"it is in {folder}: move the files of MNIST to {raw_folder(data_dir)}"
    return ""


def _has(folder: Path, name: str) -> bool:
    return any((folder / each).exists() for each in (name, name.removesuffix(".gz")))
