"""The .npz of a network: arrays as `numpy.savez` writes them, and one member with what they belong to."""

import io
import json
import zipfile
from collections.abc import Mapping

import numpy as np

from mnist_edge.artifact.checksum import CHECKSUM_PLACEHOLDER
from mnist_edge.artifact.contract import CONTRACT_KEY, Contract
from mnist_edge.artifact.fields import one_line, parse_object, take_text
from mnist_edge.artifact.test_vectors import TEST_VECTORS_KEY, TestVectors
from mnist_edge.errors import ArtifactError
from mnist_edge.formats.c.deserialization import network_of
from mnist_edge.formats.c.header import NETWORK_KEY, network_json, stored
from mnist_edge.formats.c.network import Layer, Network
from mnist_edge.types import AnyArray

METADATA = "metadata.json"
"""The member that is no array."""

MAX_MEMBERS = 4_001
"""Most members: four arrays for each of 1,000 layers, and the metadata."""

MAX_BYTES = 64 << 20
"""A larger file is refused."""


def pack(network: Network, contract: Contract, vectors: TestVectors) -> bytes:
    """Return the file of a network, with a place for its checksum; the same gives the same bytes."""
    carried = {
        CONTRACT_KEY: contract.to_json(),
        TEST_VECTORS_KEY: vectors.to_json(),
        NETWORK_KEY: network_json(network),
    }
    members = {METADATA: json.dumps(carried, sort_keys=True).encode()}
    for number, layer in enumerate(network.layers, 1):
        members |= {_member(number, kind): _npy(numbers) for kind, numbers in stored(layer).items()}
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w") as archive:
        archive.comment = CHECKSUM_PLACEHOLDER.encode()  # a member has a CRC of its own
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)  # without the time of its writing
    return result.getvalue()


def _member(number: int, kind: str) -> str:
    return f"{number}.{kind}.npy"


def _npy(numbers: AnyArray) -> bytes:
    result = io.BytesIO()
    np.lib.format.write_array(result, np.ascontiguousarray(numbers), allow_pickle=False)
    return result.getvalue()


def read_members(data: bytes) -> dict[str, bytes]:
    """Return the members of a file, none of which is packed; raises `ArtifactError` where that can't be."""
    if len(data) > MAX_BYTES:
        raise ArtifactError(f"it has more than {MAX_BYTES >> 20} MiB")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            names = {entry.filename for entry in entries}
            if len(entries) > MAX_MEMBERS or len(names) != len(entries):
                raise ArtifactError("it has too many members, or two of one name")
            if any(entry.compress_type for entry in entries) or sum(entry.file_size for entry in entries) > len(data):
                raise ArtifactError("its members are compressed, or overlap")
            return {entry.filename: archive.read(entry) for entry in entries}
    # All of these are what zipfile raises: bad structure, unknown compression, encryption, bad fields, a cut-off end.
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError, OSError) as error:
        raise ArtifactError("it is not an archive of NumPy, or is damaged") from error


def read_metadata(members: Mapping[str, bytes]) -> dict[str, str]:
    """Return what a file carries, by key; raises `ArtifactError` where that can't be read."""
    if METADATA not in members:
        raise ArtifactError(f"it holds no {METADATA}")
    try:
        fields = parse_object(members[METADATA])
        return {name: take_text(fields, name, MAX_BYTES) for name in fields}
    except ValueError as error:
        raise ArtifactError(f"its {METADATA} is damaged ({one_line(error)})") from error


def read_network(members: Mapping[str, bytes], metadata: Mapping[str, str]) -> tuple[Contract, Network]:
    """Return the contract and the network of a file.

    Raises:
        ArtifactError: they are not understood here, or an array is missing, of another type or size, or too many.
    """
    contract = Contract.from_json(metadata.get(CONTRACT_KEY))
    unread = set(members) - {METADATA}

    def numbers(number: int, layer: Layer, kind: str, dtype: "np.dtype[np.generic]", count: int) -> AnyArray:  # noqa: ARG001
        name = _member(number, kind)
        if name not in members:
            raise ValueError(f"it holds no {name}")
        unread.discard(name)
        return _array(members[name], name, dtype, count)

    try:
        network = network_of(metadata.get(NETWORK_KEY, ""), contract, numbers)
        if unread:
            raise ValueError(f"it holds {min(unread)[:80]!r}, which does not belong there")
    except (ValueError, OverflowError) as error:
        raise ArtifactError(f"its network is not understood here ({one_line(error)})") from error
    return contract, network


def _array(data: bytes, name: str, dtype: "np.dtype[np.generic]", count: int) -> AnyArray:
    """Return the numbers of a .npy file; its header is read first, so that it can't ask for memory."""
    file = io.BytesIO(data)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError(f"{name} is of another version of .npy")
    shape, column_major, found = np.lib.format.read_array_header_1_0(file)
    if found != dtype or column_major or int(np.prod(shape, dtype=np.float64)) != count:
        raise ValueError(f"{name} is {found} {list(shape)[:6]}, expected {count:,} of {dtype}")
    numbers = np.frombuffer(data, dtype, offset=file.tell())
    if len(numbers) != count or (dtype.kind == "f" and not np.isfinite(numbers).all()):
        raise ValueError(f"{name} is cut off, or a number in it is not finite")
    return numbers
