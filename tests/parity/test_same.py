"""`parity.assert_same`: what passes, and what a failed test says."""

import math
import re
from pathlib import Path

import numpy as np
import onnx
import onnx.helper
import pytest
import torch
from torch import Tensor, nn

import mnist_edge.parity
from mnist_edge.errors import UserError
from mnist_edge.parity.module_reference import module_reference
from mnist_edge.parity.same import Model, assert_same
from mnist_edge.training.checkpoint import Checkpoint
from mnist_edge.training.datasets.splits import Split
from tests.formats.onnx.foreign_models import flat_mlp, of_nodes


class Flat(nn.Module):
    """The released MLP as somebody else has it: it takes rows of pixels, and has dropout that `eval()` turns off."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        self.layers = checkpoint.build()
        self.dropout = nn.Dropout(0.5)

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.dropout(self.layers(pixels.reshape(-1, 1, 28, 28)))
        return logits


class Ranged(nn.Module):
    """The same as its owner has it: it takes images that were normalized."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        self.layers = checkpoint.build()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images * 0.3081 + 0.1307)
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


@pytest.fixture(scope="module")
def normalizing(released: Checkpoint, test_data: Split, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of a module that takes images of another range."""
    folder = tmp_path_factory.mktemp("normalizing")
    images, labels = test_data.images[:60], test_data.labels[:60]
    reference = module_reference(Ranged(released), images, labels, name="ranged", mean=0.1307, std=0.3081)
    (artifact,) = mnist_edge.export(reference, output=folder)
    return artifact.path


@pytest.mark.slow
def test_a_file_that_normalizes_the_images_is_compared_with_a_module_that_does_not(
    released: Checkpoint, test_data: Split, normalizing: Path
) -> None:
    net, images = Ranged(released), test_data.images[:60]
    normalized = (images - 0.1307) / 0.3081
    assert assert_same(net, normalizing, images, mean=0.1307, std=0.3081).agreement == 1.0
    with pytest.raises(AssertionError, match=r"normalizes the images itself: give mean and std here too$"):
        assert_same(net, normalizing, images)
    with pytest.raises(AssertionError, match=r"from -0\.4242 to 2\.821, the file takes \[0, 1\]: give them as they"):
        assert_same(net, normalizing, normalized)
    with pytest.raises(AssertionError) as caught:
        assert_same(lambda pixels: net((pixels - 0.1307) / 0.3081) + 0.01, normalizing, images)
    assert "normalize" not in str(caught.value), "which is not what is wrong there"
    with pytest.raises(UserError, match="there is mean without std"):
        assert_same(net, normalizing, images, mean=0.1307)
    with pytest.raises(UserError, match="mean can't be read as numbers"):
        assert_same(net, normalizing, images, mean="x", std=1)  # type: ignore[arg-type]


def test_images_with_other_sides_are_one_line_before_the_module_has_them(
    net: Flat, rows: Tensor, path: Path, released: Checkpoint, test_data: Split, exports: Path
) -> None:
    trained, images = released.build(), test_data.images[:2]
    for model, file, given, message in (
        (net, path, rows[:2, None], r"the images are \[2, 1, 784\], .* takes \[N, 784\]$"),
        (
            trained,
            exports / "mnist-mlp.onnx",
            images[0],
            r"\[1, 28, 28\], .* \[N, 1, 28, 28\]; a single image is image",
        ),
        (
            trained,
            exports / "mnist-mlp.onnx",
            images.flatten(1),
            r"the images are \[2, 784\], .* takes \[N, 1, 28, 28\]$",
        ),
    ):
        with pytest.raises(UserError, match=message):
            assert_same(model, file, given)


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


def itself(pixels: Tensor) -> Tensor:
    return pixels


def off_in_a_batch(path: Path, factor: float) -> Path:
    """Write a file that gives what it is given, and in a batch a share of each number's distance from the mean too."""
    nodes = [
        onnx.helper.make_node("ReduceMean", ["pixels"], ["mean"], axes=[0], keepdims=1),
        onnx.helper.make_node("Sub", ["pixels", "mean"], ["distance"]),
        onnx.helper.make_node("Mul", ["distance", "factor"], ["more"]),
        onnx.helper.make_node("Add", ["pixels", "more"], ["logits"]),
    ]
    path.write_bytes(of_nodes(nodes, ("N", 2), {"factor": np.array(factor, np.float32)}))
    return path


PAIR = np.array([[0, 1], [1, 0]], np.float32)


def test_a_file_that_is_right_for_one_image_alone_is_not_the_same(tmp_path: Path) -> None:
    with pytest.raises(
        AssertionError, match=r"does not give what itself gives at batch 1000:\n  largest \|Δlogit\| is 0\.5,"
    ):
        assert_same(itself, off_in_a_batch(tmp_path / "a.onnx", 1), PAIR)


def test_the_figures_are_those_of_the_batch_size_that_differs_most(tmp_path: Path) -> None:
    found = assert_same(itself, off_in_a_batch(tmp_path / "a.onnx", 1e-4), PAIR)
    assert found.max_abs_diff == pytest.approx(5e-5, rel=0.01)


@pytest.fixture
def copying(tmp_path: Path) -> Path:
    """A file that gives what it is given."""
    (tmp_path / "a.onnx").write_bytes(of_nodes([onnx.helper.make_node("Identity", ["pixels"], ["logits"])], ("N", 2)))
    return tmp_path / "a.onnx"


def test_logits_off_by_half_as_much_again_as_is_allowed_are_not_the_same(copying: Path) -> None:
    assert assert_same(lambda pixels: pixels + 0.5e-4, copying, PAIR)
    with pytest.raises(AssertionError, match=r"largest \|Δlogit\| is 0\.00015, allowed 0\.0001 "):
        assert_same(lambda pixels: pixels + 1.5e-4, copying, PAIR)


@pytest.mark.parametrize("images", [200, 2_000])
def test_one_other_answer_is_too_many_where_all_must_be_the_same(images: int, copying: Path) -> None:
    rows = np.tile(np.array([[1, 0]], np.float32), (images, 1))
    rows[-1] = [1, 0.9]

    def turning_the_last(pixels: Tensor) -> Tensor:
        return torch.where(pixels[:, 1:] > 0, pixels.flip(1), pixels)

    share = f"{100 - 100 / images:.2f}%"
    with pytest.raises(AssertionError, match=f"{share} of the answers are the same, required 100.00%"):
        assert_same(turning_the_last, copying, rows, max_abs_diff=math.inf)
    assert assert_same(turning_the_last, copying, rows, max_abs_diff=math.inf, min_agreement=1 - 1 / images)


def test_a_file_with_two_outputs_is_refused(tmp_path: Path) -> None:
    names = ("logits", "others")
    nodes = [onnx.helper.make_node("Identity", ["pixels"], [name]) for name in names]
    (tmp_path / "a.onnx").write_bytes(of_nodes(nodes, ("N", 2), outputs=names))
    with pytest.raises(UserError, match="it has 1 inputs and 2 outputs, expected one of each"):
        assert_same(itself, tmp_path / "a.onnx", PAIR)


def test_what_can_not_be_compared_is_one_line(net: Flat, rows: Tensor, path: Path, tmp_path: Path) -> None:
    cases: list[tuple[Model, object, str]] = [
        (lambda pixels: net(pixels) * math.nan, rows, "gives logits that are not finite numbers for 60 of 60 images"),
        (lambda _: (1, 2), rows, r"gives tuple, expected one tensor"),  # type: ignore[return-value,list-item]
        (lambda pixels: net(pixels).sum(dim=1), rows, r"gives \[60\], expected one tensor of logits"),
        (net, rows[:0], r"the images are float32 \[0, 784\], expected floating-point"),
        (net, rows.to(torch.uint8), r"the images are uint8 \[60, 784\], .*; divide bytes by 255$"),
        (net, rows.bfloat16(), r"the images can't be read as one array of numbers \(.*BFloat16\)"),
        (net, [[0.5] * 784, [0.5]], r"the images can't be read as one array of numbers \(.*inhomogeneous"),
        (net, np.full((3, 784), np.nan), "NaN or infinity"),
        (net, np.array([[0.5] * 783 + [np.inf]]), "NaN or infinity"),
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
