"""An ONNX file is opened only if it is what its contract says."""

import numpy as np
import pytest

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.errors import ArtifactError, ContractError
from mnist_edge.formats.onnx.runner import open_runner
from mnist_edge.runtime.builtin_models import DEFAULT_MODEL
from tests.damage import edits
from tests.damage.edits import Edit, tampered

BUILT_IN = DEFAULT_MODEL.read_bytes()


def mismatches(edit: Edit) -> tuple[str, ...]:
    with open_runner(Bundle.of_file(tampered(BUILT_IN, edit))) as runner:
        return runner.mismatches


def test_the_built_in_model_gives_finite_logits_at_any_batch() -> None:
    with open_runner(Bundle.of_file(BUILT_IN)) as runner:
        assert runner.mismatches == ()
        for batch in (1, 3):
            logits = runner.predict(np.zeros((batch, 1, 28, 28), np.float32))
            assert logits.shape == (batch, 10)
            assert logits.dtype == np.float32
            assert np.isfinite(logits).all()


def test_an_input_or_output_that_is_not_as_the_contract_says_is_a_line() -> None:
    assert "the graph's input is" in mismatches(edits.freeze_batch)[0]
    (line,) = mismatches(edits.set_contract("output", "scores"))
    assert line.startswith("the graph's output is ('logits', ")
    (line,) = mismatches(edits.set_contract("task.input.name", "picture"))
    assert line.startswith("the graph's input is ('image', ")


def test_images_of_another_shape_are_refused() -> None:
    with (
        open_runner(Bundle.of_file(BUILT_IN)) as runner,
        pytest.raises(ArtifactError, match="onnxruntime cannot run a batch of 2"),
    ):
        runner.predict(np.zeros((2, 1, 14, 14), np.float32))


@pytest.mark.parametrize("data", [b"", b"not a model", BUILT_IN[:-100]], ids=["empty", "text", "truncated"])
def test_what_is_not_an_onnx_file_is_one_line(data: bytes) -> None:
    with pytest.raises(ArtifactError) as caught:
        open_runner(Bundle.of_file(data))
    assert "\n" not in str(caught.value)


def test_a_file_without_a_contract_is_refused() -> None:
    data = tampered(BUILT_IN, edits.drop_metadata("mnist_edge.contract"))
    with pytest.raises(ContractError, match="carries no mnist-edge contract"):
        open_runner(Bundle.of_file(data))
