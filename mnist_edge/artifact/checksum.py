"""An artifact's checksum: the SHA-256 of its own bytes, carried inside it, so that it can be checked by itself.

The checksum is text: a marker and 64 hexadecimal digits. The digest is taken with the digits set to zero, so it can
stand anywhere that keeps text as it is: an ONNX property, the comment of a zip archive, a sidecar. It finds damage,
not forgery: whoever changes an artifact on purpose can embed a new one, and is then found by comparing answers.
"""

import re
import sys
from collections.abc import Mapping

from mnist_edge.errors import ChecksumError

try:  # the interpreter's own: hashlib brings OpenSSL, whose 4 MB a device needs for nothing else
    from _sha2 import sha256 as _sha256  # type: ignore[import-not-found] # Python 3.12
except ImportError:
    try:
        from _sha256 import sha256 as _sha256  # type: ignore[import-not-found] # Python 3.11
    except ImportError:
        from hashlib import sha256 as _sha256

CHECKSUM_KEY = "mnist_edge.checksum"
"""Under this name an artifact that has named properties carries its checksum."""

_MARKER = b"mnist-edge-checksum:"
_CHECKSUM = re.compile(_MARKER + rb"([0-9a-f]{64})")
_ZEROS = b"0" * 64

CHECKSUM_PLACEHOLDER = _MARKER.decode() + _ZEROS.decode()
"""The text that an exporter puts into an artifact, once, for `embed_checksum` to fill in."""


def sha256(data: bytes) -> str:
    """Return the SHA-256 of `data` as 64 lower-case hexadecimal digits."""
    if "hashlib" in sys.modules:  # OpenSSL is there already, and several times as fast
        from hashlib import sha256 as of_openssl

        return of_openssl(data, usedforsecurity=False).hexdigest()
    digest: str = _sha256(data).hexdigest()
    return digest


def digest_of(files: Mapping[str, bytes]) -> str:
    """Return one SHA-256 for an artifact: of its only file, or of its files' `sha256sum` lines sorted by name."""
    if len(files) == 1:
        return sha256(next(iter(files.values())))
    lines = [f"{sha256(data)}  {name}\n" for name, data in sorted(files.items())]
    return sha256("".join(lines).encode(errors="surrogateescape"))  # the bytes of a name that is not UTF-8


def embed_checksum(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return an artifact's files, which hold `CHECKSUM_PLACEHOLDER` exactly once, with the digest filled in.

    Raises:
        ChecksumError: there is no place for a checksum, or more than one.
    """
    name, start, _ = _place(files)
    return _with_digits(files, name, start, digest_of(_with_digits(files, name, start, _ZEROS)).encode())


def verify_checksum(files: Mapping[str, bytes]) -> None:
    """Return if an artifact's files are as they were when the checksum was embedded.

    Raises:
        ChecksumError: they are not, or there is no checksum.
    """
    name, start, digits = _place(files)
    if digest_of(_with_digits(files, name, start, _ZEROS)).encode() != digits:
        raise ChecksumError("it was altered since it was exported")


def _with_digits(files: Mapping[str, bytes], name: str, start: int, digits: bytes) -> dict[str, bytes]:
    data = files[name]
    return {**files, name: data[:start] + digits + data[start + 64 :]}


def _place(files: Mapping[str, bytes]) -> tuple[str, int, bytes]:
    """Return in which file, and from which byte on, the digits are, and the digits."""
    found = [(name, match.start(1), match[1]) for name, data in files.items() for match in _CHECKSUM.finditer(data)]
    if len(found) != 1:
        raise ChecksumError(f"it carries {'more than one' if found else 'no'} mnist-edge checksum")
    return found[0]
