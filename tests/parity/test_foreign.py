from pathlib import Path

import numpy as np
import pytest

from mnist_edge.artifact.contract import Task
from mnist_edge.errors import ArtifactError, UserError
from mnist_edge.formats.registry import read_artifact
from mnist_edge.parity.evaluate import evaluate, open_model
from mnist_edge.parity.foreign import ForeignModel, open_foreign
from mnist_edge.parity.reference import Reference
from mnist_edge.training.checkpoint import Checkpoint
from mnist_edge.training.datasets.splits import Split
from mnist_edge.types import TensorSpec
from tests.formats.onnx.foreign_models import UINT8, flat_mlp, flat_sums


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


def opened(
    folder: Path, given: tuple[int | str, ...], image: tuple[int, int, int], *, classes: int = 2
) -> ForeignModel:
    """Open a file that takes images of one shape for a task of two labels, whose images have another."""
    path = folder / "foreign.onnx"
    path.write_bytes(flat_sums(given, classes))
    model = open_foreign(read_artifact(path), Task("a", ("0", "1"), TensorSpec("image", image), "resize/1"))
    assert model is not None
    return model


def test_pictures_in_color_are_given_with_their_channels_first_only(tmp_path: Path) -> None:
    """A file does not say which number is which otherwise, and in the wrong order they are another picture."""
    images = np.random.default_rng(0).random((5, 3, 8, 6), np.float32)
    logits = opened(tmp_path, ("N", 3, 8, 6), (3, 8, 6)).predict(images)
    assert logits[:, 0] == pytest.approx(images.sum(axis=(1, 2, 3)), rel=1e-5)
    for shape in (("N", 8, 6, 3), ("N", 144), ("N", 8, 18)):
        with pytest.raises(UserError, match=r"expected float32 \[N, 3, 8, 6\];") as caught:
            opened(tmp_path, shape, (3, 8, 6))
        assert f"its input is float32 [{', '.join(map(str, shape))}]" in str(caught.value)


@pytest.mark.parametrize("classes", [1, 3])
def test_one_number_for_each_label_is_expected(classes: int, tmp_path: Path) -> None:
    model = opened(tmp_path, ("N", 16), (1, 4, 4), classes=classes)
    with pytest.raises(ArtifactError, match=f"^it gives {classes} numbers for the 2 labels of a$"):
        model.predict(np.zeros((2, 1, 4, 4), np.float32))
