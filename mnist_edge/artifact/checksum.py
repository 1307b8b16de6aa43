"""A file's seal: the SHA-256 of its own bytes, carried inside it, so that it can be checked with nothing else at hand.

The seal is text: a marker and 64 hexadecimal digits. The digest is taken with the digits set to zero, so the file can
hold it anywhere that keeps text as it is: an ONNX property, the comment of a zip archive. It tells damage, not
forgery: whoever changes a file on purpose can seal it anew, and is then found by comparing answers.
"""

import re

try:  # the interpreter's own: hashlib brings OpenSSL, whose 4 MB a device needs for nothing else
    from _sha2 import sha256 as _sha256  # type: ignore[import-not-found] # Python 3.12
except ImportError:
    try:
        from _sha256 import sha256 as _sha256  # type: ignore[import-not-found] # Python 3.11
    except ImportError:
        from hashlib import sha256 as _sha256

SEAL_KEY = "mnist_edge.seal"
"""Under this name a file that has named properties carries its seal."""

_MARKER = b"mnist-edge-seal:"
_SEAL = re.compile(_MARKER + rb"([0-9a-f]{64})")

UNSEALED = _MARKER.decode() + "0" * 64
"""The text that an exporter puts into a file, once, for `seal` to fill in."""


class SealError(ValueError):
    """A file has no seal, or was altered since it was sealed."""


def seal(data: bytes) -> bytes:
    """Return a file's bytes, which hold `UNSEALED` exactly once, with the digest filled in.

    Raises:
        SealError: there is no place for a seal, or more than one.
    """
    start, _ = _place(data)
    return data[:start] + _digest(data) + data[start + 64 :]


def check_seal(data: bytes) -> None:
    """Return if a file's bytes are as they were sealed.

    Raises:
        SealError: they are not, or there is no seal.
    """
    start, digest = _place(data)
    if _digest(data[:start] + b"0" * 64 + data[start + 64 :]) != digest:
        raise SealError("it was altered since it was exported")


def _digest(data: bytes) -> bytes:
    return str(_sha256(data).hexdigest()).encode()


def _place(data: bytes) -> tuple[int, bytes]:
    found = list(_SEAL.finditer(data))
    if len(found) != 1:
        raise SealError("it carries no mnist-edge seal" if not found else "it carries more than one mnist-edge seal")
    return found[0].start(1), found[0][1]
