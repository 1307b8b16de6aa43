"""`parity.assert_same`: what passes, and what a failed test says."""

import math
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

import mnist_edge.parity
from mnist_edge.errors import UserError
from mnist_edge.parity.same import Model, assert_same
from mnist_edge.training.checkpoint import Checkpoint
from mnist_edge.training.datasets.splits import Split
from tests.formats.onnx.foreign_models import flat_mlp


class Flat(nn.Module):
    """The released MLP as somebody else has it: it takes rows of pixels, and has dropout that `eval()` turns off."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        self.layers = checkpoint.build()
        self.dropout = nn.Dropout(0.5)

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.dropout(self.layers(pixels.reshape(-1, 1, 28, 28)))
        return logits


@pytest.fixture(scope="module")
def net(released: Checkpoint) -> Flat:
    return Flat(released)


@pytest.fixture(scope="module")
def rows(test_data: Split) -> Tensor:
    return test_data.images[:60].flatten(1)


@pytest.fixture
def path(released: Checkpoint, tmp_path: Path) -> Path:
    (tmp_path / "model.onnx").write_bytes(flat_mlp(released, last="Identity"))
    return tmp_path / "model.onnx"


def test_a_file_of_any_exporter_is_the_same_up_to_rounding(net: Flat, rows: Tensor, path: Path) -> None:
    net.train()
    net.layers.eval()
    found = mnist_edge.parity.assert_same(net, path, rows)
    assert net.training
    assert net.dropout.training
    assert not net.layers.training
    assert (found.images, found.agreement) == (60, 1.0)
    assert 0 < found.max_abs_diff < 1e-4
    assert assert_same(net, str(path), rows.double().numpy()) == found


@pytest.mark.parametrize("side", [1, 7, 60, 64])
def test_a_file_with_a_fixed_batch_is_given_so_many(
    side: int, net: Flat, rows: Tensor, released: Checkpoint, tmp_path: Path
) -> None:
    path = tmp_path / "fixed.onnx"
    path.write_bytes(flat_mlp(released, shape=(side, 784), last="Identity"))
    assert assert_same(net, path, rows).agreement == 1.0


def test_weights_beside_the_file_and_other_operators_are_run(
    net: Flat, rows: Tensor, released: Checkpoint, tmp_path: Path
) -> None:
    path = tmp_path / "sine.onnx"
    model = onnx.load_from_string(flat_mlp(released, last="Sin"))
    onnx.save(model, path, save_as_external_data=True, location="sine.onnx.data", size_threshold=0)
    assert path.stat().st_size < 2_000

    def sine(pixels: Tensor) -> Tensor:
        return torch.sin(net.eval()(pixels))

    assert assert_same(sine, path, rows, min_agreement=0.9)
    (tmp_path / "sine.onnx.data").unlink()
    with pytest.raises(UserError, match=r"cannot use .*sine\.onnx: onnxruntime cannot load it .*[Ee]xternal data"):
        assert_same(sine, path, rows)


def test_a_file_of_any_size_is_run(net: Flat, rows: Tensor, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("foreign", "structure"):
        monkeypatch.setattr(f"mnist_edge.formats.onnx.{module}.MAX_BYTES", path.stat().st_size - 1)
    assert assert_same(net, path, rows)


def test_files_of_ours_are_judged_by_the_tolerance_of_their_scheme(
    released: Checkpoint, test_data: Split, exports: Path
) -> None:
    net, images = released.build(), test_data.images[:50]
    for name in ("mnist-mlp.onnx", "mnist-mlp-int8.onnx", "mnist-mlp-fp16.onnx", "mnist-mlp-int8.pt"):
        assert assert_same(net, exports / name, images).agreement == 1.0
    with pytest.raises(AssertionError, match=r"allowed 0\.0001 \(max_abs_diff=0\.\d+ would have passed\)"):
        assert_same(net, exports / "mnist-mlp-int8.onnx", images, max_abs_diff=1e-4)


def broken(net: Flat) -> Model:
    """Return the network with another answer to the image whose first pixel is white, and a little noise."""

    def answer(pixels: Tensor) -> Tensor:
        logits: Tensor = net.eval()(pixels)
        logits[pixels[:, 0] == 1, 3] += 100
        return logits + 0.01

    return answer


def test_the_message_names_image_figures_and_what_would_have_passed(net: Flat, rows: Tensor, path: Path) -> None:
    marked = rows.clone()
    marked[17, 0] = 1
    with pytest.raises(AssertionError) as caught:
        assert_same(broken(net), path, marked)
    first, largest, answers = str(caught.value).splitlines()
    assert first == f"{path} does not give what answer gives at batch 1:"
    found = re.fullmatch(
        r"  largest \|Δlogit\| is 100, allowed 0\.000199 \(max_abs_diff=(.+) would have passed\); "
        r"image 17 differs most: output 3 is (\S+), expected (\S+)",
        largest,
    )
    assert found, largest
    assert float(found[3]) - float(found[2]) == pytest.approx(100.01, abs=0.001)
    assert float(found[1]) == 101
    assert re.fullmatch(
        r"  98\.33% of the answers are the same, required 100\.00% \(min_agreement=0\.9833 would have passed\); "
        r"image 17 gets \d, expected 3",
        answers,
    )
    assert assert_same(broken(net), path, marked, max_abs_diff=float(found[1]), min_agreement=0.9833)
    assert assert_same(broken(net), path, marked, max_abs_diff=math.inf, min_agreement=0).image == 17


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"max_abs_diff": math.nan}, "max_abs_diff is nan, expected a number from 0"),
        ({"max_abs_diff": -1e-4}, "max_abs_diff is -0.0001, expected a number from 0"),
        ({"min_agreement": math.nan}, r"min_agreement is nan, expected a share in \[0, 1\]"),
        ({"min_agreement": 99.9}, "min_agreement is 99.9, expected a share"),
        ({"min_agreement": -1.0}, "min_agreement is -1.0, expected a share"),
    ],
)
def test_a_bound_that_nothing_or_everything_keeps_is_refused(
    net: Flat, rows: Tensor, path: Path, bounds: dict[str, float], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        assert_same(net, path, rows, **bounds)


def test_probabilities_and_another_number_of_classes_are_not_the_same(
    net: Flat, rows: Tensor, path: Path, released: Checkpoint
) -> None:
    with pytest.raises(AssertionError, match=r"it gives \[60, 10\], expected \[60, 9\]"):
        assert_same(lambda pixels: net.eval()(pixels)[:, :9], path, rows)
    path.write_bytes(flat_mlp(released))
    with pytest.raises(AssertionError, match="does not give what Flat gives"):
        assert_same(net, path, rows)


def test_what_can_not_be_compared_is_one_line(net: Flat, rows: Tensor, path: Path, tmp_path: Path) -> None:
    cases: list[tuple[Model, object, str]] = [
        (lambda pixels: net(pixels) * math.nan, rows, "gives logits that are not finite numbers for 60 of 60 images"),
        (lambda _: (1, 2), rows, r"gives tuple, expected one tensor"),  # type: ignore[return-value,list-item]
        (lambda pixels: net(pixels).sum(dim=1), rows, r"gives \[60\], expected one tensor of logits"),
        (net, rows[:0], r"the images are float32 \[0, 784\], expected floating-point"),
        (net, rows.to(torch.uint8), "the images are uint8"),
        (net, rows.bfloat16(), r"the images can't be read as one array of numbers \(.*BFloat16\)"),
        (net, [[0.5] * 784, [0.5]], r"the images can't be read as one array of numbers \(.*inhomogeneous"),
        (net, np.full((3, 784), np.nan), "NaN or infinity"),
        (lambda pixels: net(pixels[:, :784]), np.zeros((2, 785)), r"cannot run .* on images \[2, 785\]: onnxruntime"),
    ]
    for model, images, message in cases:
        with pytest.raises(UserError, match=message) as caught:
            assert_same(model, path, images)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="cannot read"):
        assert_same(net, tmp_path / "missing.onnx", rows)
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(UserError, match="cannot use"):
        assert_same(net, tmp_path / "text.onnx", rows)
