"""Text → header: what a file holds is read as data, and the file refused where it is not what is written from that.

So nothing that a stranger wrote is ever compiled: what is compiled was written here, from numbers that were checked.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.checksum import CHECKSUM_PLACEHOLDER
from mnist_edge.artifact.contract import CONTRACT_KEY, Contract
from mnist_edge.artifact.fields import one_line
from mnist_edge.artifact.test_vectors import TEST_VECTORS_KEY, TestVectors
from mnist_edge.errors import ArtifactError
from mnist_edge.formats.c.deserialization import network_of
from mnist_edge.formats.c.header import NETWORK_KEY, Header, layer_name, prefix_of
from mnist_edge.formats.c.network import Layer, Network
from mnist_edge.formats.c.writer import write
from mnist_edge.types import AnyArray

MAX_BYTES = 64 << 20
"""A larger header is refused."""

_DATA = re.compile(
    rf"^{CONTRACT_KEY} ([ -~]*)\n{NETWORK_KEY} ([ -~]*)\n{TEST_VECTORS_KEY} ([ -~]*)\n\*/\n\Z", re.MULTILINE
)
"""What is at the end of a header. It is written with escapes again, whatever it holds."""
_CHECKSUM = re.compile("mnist-edge-checksum:[0-9a-f]{64}")
_ARRAY = re.compile(r"^static const \w+ (\w+)\[\d+\] = \{\n([-+0-9a-z.,\s]*)\n\};$", re.MULTILINE)


def read(bundle: Bundle) -> Header:
    """Return what a header holds.

    Raises:
        ArtifactError: it is not one that this version of mnist-edge writes, or was altered.
    """
    return _read(bundle.data)


@lru_cache(maxsize=4)
def _read(data: bytes) -> Header:
    """Return what a header holds: runner, inspector and devices ask for the same one."""
    if len(data) > MAX_BYTES:
        raise ArtifactError(f"it has more than {MAX_BYTES >> 20} MiB")
    text = data.decode("ascii", "replace")
    found = _DATA.search(text)
    if "\r\n" in text:
        raise ArtifactError(
            "its line ends were changed to those of Windows: tell git to leave it as it is (`*.h -text`)"
        )
    if not found:
        raise ArtifactError("it is not a header that mnist-edge wrote, or was cut off")
    contract = Contract.from_json(found[1])
    vectors = TestVectors.from_json(found[3], contract.task)
    try:
        header = Header(contract, vectors, found[3].replace("\\/", "/"), _network(found[2], text, contract))
    except (ValueError, OverflowError) as error:
        raise ArtifactError(f"its network is not understood here ({one_line(error)})") from error
    if write(header) != _CHECKSUM.sub(CHECKSUM_PLACEHOLDER, text):
        raise ArtifactError("it is not what mnist-edge writes for its numbers: it was altered, or another version's")
    return header


def _network(fields_json: str, text: str, contract: Contract) -> Network:
    """Return the network that a header describes, with the numbers of its arrays; raises `ValueError`."""
    arrays = {match[1]: match[2] for match in _ARRAY.finditer(text)}
    prefix = prefix_of(contract)

    def numbers(number: int, layer: Layer, kind: str, dtype: np.dtype[Any], count: int) -> AnyArray:
        found = arrays.get(f"{layer_name(prefix, number, layer)}_{kind}", "")
        return _numbers(found.replace("\n", "").split(","), dtype, count)

    return network_of(fields_json, contract, numbers)


def _numbers(texts: Iterable[str], dtype: np.dtype[Any], count: int) -> AnyArray:
    """Return numbers as they stand in an array; raises `ValueError` where they do not fit into it."""
    plain = [text.strip().rstrip("fu") for text in texts]
    if len(plain) != count:
        raise ValueError(f"{len(plain):,} numbers, expected {count:,}")
    if dtype.kind == "f":
        values = np.array(plain, np.float64).astype(dtype)
        if not np.isfinite(values).all():
            raise ValueError("a number is not finite")
        return values
    whole = np.array(plain, np.int64)
    limits = np.iinfo(dtype)
    if whole.min() < limits.min or whole.max() > limits.max:
        raise ValueError("a number does not fit into its type")
    return whole.astype(dtype)
