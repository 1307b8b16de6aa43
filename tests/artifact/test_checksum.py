import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_edge.runtime.builtin_models import BUILT_IN
from mnist_edge.artifact.checksum import UNSEALED, SealError, check_seal, seal

SEALED = BUILT_IN.read_bytes()


def test_the_built_in_model_is_sealed() -> None:
    check_seal(SEALED)


@given(st.integers(0, len(SEALED) - 1), st.integers(1, 255))
def test_any_changed_byte_is_found(position: int, change: int) -> None:
    data = bytearray(SEALED)
    data[position] ^= change
    with pytest.raises(SealError):
        check_seal(bytes(data))


@given(st.integers(0, len(SEALED) - 1))
def test_any_truncation_is_found(length: int) -> None:
    with pytest.raises(SealError):
        check_seal(SEALED[:length])


@given(st.binary(), st.binary())
def test_sealing_anything(before: bytes, after: bytes) -> None:
    sealed = seal(before + UNSEALED.encode() + after)
    check_seal(sealed)
    with pytest.raises(SealError, match="altered"):
        check_seal(sealed + b"x")


def test_there_must_be_one_place_for_it() -> None:
    with pytest.raises(SealError, match="no mnist-edge seal"):
        seal(b"nothing")
    with pytest.raises(SealError, match="more than one"):
        seal(2 * UNSEALED.encode())
