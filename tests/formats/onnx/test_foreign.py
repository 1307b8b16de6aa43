import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.errors import ArtifactError
from mnist_edge.formats.build import ForeignTensor
from mnist_edge.formats.onnx.foreign import open_foreign, outline
from mnist_edge.runtime.builtin_models import DEFAULT_MODEL
from mnist_edge.training.checkpoint import Checkpoint, load_checkpoint
from tests.conftest import RELEASED
from tests.formats.onnx.foreign_models import flat_mlp

FOREIGN = flat_mlp(load_checkpoint(RELEASED))


def test_what_a_file_is_can_be_read_without_running_it() -> None:
    found = outline(Bundle.of_file(FOREIGN))
    assert found is not None
    assert found.producer == "another\x1b[31m tool 9"
    assert found.opsets == {"ai.onnx": 17}
    assert found.inputs == (ForeignTensor("pixels", "float32", ("batch", 784)),)
    assert found.outputs == (ForeignTensor("value3", "float32", ("batch", 10)),)
    assert found.operators == {"Flatten": 1, "Gemm": 3, "Relu": 2, "Softmax": 1}
    assert found.parameters == 109_386
    assert found.refusal == ""


def test_a_file_of_ours_is_not_foreign() -> None:
    bundle = Bundle.of_file(DEFAULT_MODEL.read_bytes())
    assert outline(bundle) is None


def test_what_our_reader_refuses_is_described_and_not_run(released: Checkpoint) -> None:
    bundle = Bundle.of_file(flat_mlp(released, last="Hardmax"))
    found = outline(bundle)
    assert found is not None
    assert found.refusal == "it has the operator 'Hardmax', which is not on the list of small classifiers"
    with pytest.raises(ArtifactError, match="'Hardmax', which is not on the list"):
        open_foreign(bundle, found)


@given(st.integers(0, len(FOREIGN) - 1))
def test_a_file_that_is_cut_off_is_refused_or_described(length: int) -> None:
    try:
        found = outline(Bundle.of_file(FOREIGN[:length]))
    except ArtifactError:
        return
    assert found is not None
    assert found.refusal


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(data: bytes) -> None:
    for number in (b"", b"\x3a"):  # as they are, and as the graph
        try:
            found = outline(Bundle.of_file(number + bytes([len(data) % 128]) + data if number else data))
        except ArtifactError:
            continue
        assert found is not None
        assert found.refusal
