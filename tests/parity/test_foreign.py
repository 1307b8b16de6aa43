from pathlib import Path

import pytest

from mnist_edge.errors import UserError
from mnist_edge.parity.evaluate import evaluate, open_model
from mnist_edge.parity.reference import Reference
from mnist_edge.training.checkpoint import Checkpoint
from mnist_edge.training.datasets.splits import Split
from tests.formats.onnx.foreign_models import UINT8, flat_mlp


@pytest.mark.parametrize("shape", [("batch", 784), ("batch", 1, 28, 28), (7, 28, 28), ("n", 28, 28, 1)])
def test_a_file_of_somebody_else_is_measured_on_images_of_its_shape(
    shape: tuple[int | str, ...], released: Checkpoint, reference: Reference, test_data: Split, tmp_path: Path
) -> None:
    path = tmp_path / "foreign.onnx"
    path.write_bytes(flat_mlp(released, shape=shape))
    model = open_model(path)
    assert "no mnist-edge contract" in model.caveats
    assert f"float32 [{', '.join(map(str, shape))}] in [0, 1]" in model.caveats
    few = Split(test_data.images[:100], test_data.labels[:100])
    expected = reference.logits[:100].argmax(axis=1)
    assert (model.predict_logits(few.images.numpy()).argmax(axis=1) == expected).all()
    assert evaluate(model, few).correct == int((expected == few.labels.numpy()).sum())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": ("batch", 785)}, r"float32 \[batch, 785\], expected float32 \[N, 1, 28, 28\] or \[N, 784\]"),
        ({"shape": ("batch", "w", 28)}, r"float32 \[batch, w, 28\], expected"),
        ({"dtype": UINT8}, r"uint8 \[batch, 784\], expected float32"),
        ({"last": "Hardmax"}, "'Hardmax', which is not on the list"),
    ],
)
def test_one_that_does_not_fit_is_one_line(
    change: dict[str, object], message: str, released: Checkpoint, tmp_path: Path
) -> None:
    path = tmp_path / "foreign.onnx"
    path.write_bytes(flat_mlp(released, **change))  # type: ignore[arg-type]
    with pytest.raises(UserError, match=message):
        open_model(path)
