import hashlib
import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_edge.artifact.checksum import (
    CHECKSUM_PLACEHOLDER,
    digest_of,
    embed_checksum,
    sha256,
    verify_checksum,
)
from mnist_edge.errors import ChecksumError
from mnist_edge.runtime.builtin_models import DEFAULT_MODEL

BUILT_IN = DEFAULT_MODEL.read_bytes()


def verify(data: bytes) -> None:
    verify_checksum({"": data})


def test_the_built_in_model_carries_its_checksum() -> None:
    verify(BUILT_IN)


@given(st.integers(0, len(BUILT_IN) - 1), st.integers(1, 255))
def test_any_changed_byte_is_found(position: int, change: int) -> None:
    data = bytearray(BUILT_IN)
    data[position] ^= change
    with pytest.raises(ChecksumError):
        verify(bytes(data))


@given(st.integers(0, len(BUILT_IN) - 1))
def test_any_truncation_is_found(length: int) -> None:
    with pytest.raises(ChecksumError):
        verify(BUILT_IN[:length])


@given(st.binary(), st.binary())
def test_anything_can_carry_a_checksum(before: bytes, after: bytes) -> None:
    data = embed_checksum({"": before + CHECKSUM_PLACEHOLDER.encode() + after})[""]
    verify(data)
    with pytest.raises(ChecksumError, match="altered"):
        verify(data + b"x")


@given(st.dictionaries(st.text(min_size=1), st.binary(), max_size=4))
def test_a_checksum_in_one_file_covers_them_all(others: dict[str, bytes]) -> None:
    files = embed_checksum({**others, "": CHECKSUM_PLACEHOLDER.encode()})
    verify_checksum(files)
    for name in others:
        with pytest.raises(ChecksumError, match="altered"):
            verify_checksum({**files, name: files[name] + b"x"})
        with pytest.raises(ChecksumError, match="altered"):
            verify_checksum({other: data for other, data in files.items() if other != name})
    with pytest.raises(ChecksumError, match="altered"):
        verify_checksum({**files, "another file": b""})


def test_there_must_be_one_place_for_it() -> None:
    with pytest.raises(ChecksumError, match="no mnist-edge checksum"):
        embed_checksum({"": b"nothing"})
    with pytest.raises(ChecksumError, match="more than one"):
        embed_checksum({"": 2 * CHECKSUM_PLACEHOLDER.encode()})
    with pytest.raises(ChecksumError, match="more than one"):
        embed_checksum({"a": CHECKSUM_PLACEHOLDER.encode(), "b": CHECKSUM_PLACEHOLDER.encode()})


@given(st.binary())
def test_the_digest_is_that_of_sha256sum(data: bytes) -> None:
    assert sha256(data) == digest_of({"any name": data}) == hashlib.sha256(data).hexdigest()


def test_a_device_computes_the_digest_without_openssl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "hashlib")
    assert sha256(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1
    assert "hashlib" not in sys.modules


def test_the_digest_of_several_files_is_that_of_their_sorted_sha256sum_lines() -> None:
    lines = f"{sha256(b'1')}  a\n{sha256(b'2')}  b\n"
    assert digest_of({"b": b"2", "a": b"1"}) == sha256(lines.encode())


def test_a_name_that_is_not_utf8_counts_by_its_bytes() -> None:
    files = {"a": b"1", os.fsdecode(b"\xff"): b"2"}
    lines = sha256(b"1").encode() + b"  a\n" + sha256(b"2").encode() + b"  \xff\n"
    assert digest_of(files) == sha256(lines)
    sealed = embed_checksum({**files, "c": CHECKSUM_PLACEHOLDER.encode()})
    verify_checksum(sealed)
    with pytest.raises(ChecksumError):
        verify_checksum({name.replace("\udcff", "\udcfe"): data for name, data in sealed.items()})
