"""A module in memory: the same verdict, test vectors and report as of a checkpoint."""

import copy
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune, spectral_norm, weight_norm

import mnist_edge
from mnist_edge.errors import UserError
from mnist_edge.formats.torchscript.deprecations import without_deprecations
from mnist_edge.parity.module_reference import module_reference
from mnist_edge.parity.reference import Reference
from mnist_edge.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from mnist_edge.training.datasets.splits import Split, TrainingData


class Net(nn.Module):
    """The released MLP as its owner has it: it takes normalized rows of pixels."""

    def __init__(self, layers: nn.Module, mean: float, std: float) -> None:
        super().__init__()
        self.layers, self.mean, self.std = layers, mean, std
        self.dropout = nn.Dropout(0.3)

    def forward(self, rows: Tensor) -> Tensor:
        if rows.dim() != 2:
            raise ValueError("rows are expected")
        logits: Tensor = self.layers(self.dropout(rows * self.std + self.mean).reshape(-1, 1, 28, 28))
        return logits


@pytest.fixture(scope="module")
def few_test(test_data: Split) -> Split:
    return Split(test_data.images[:200], test_data.labels[:200])


class Precise(nn.Module):
    """Code that names a precision."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(784, 10)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.linear(images.float().flatten(1))
        return logits


class Keeping(Precise):
    """Code that keeps a result."""

    def forward(self, images: Tensor) -> Tensor:
        self.kept = super().forward(images)
        return self.kept


@pytest.mark.parametrize("convert", [nn.Module.float, nn.Module.double, nn.Module.half, nn.Module.bfloat16])
def test_a_module_of_any_precision_is_judged_in_float32(
    convert: Callable[[nn.Module], nn.Module], few_test: Split
) -> None:
    torch.manual_seed(0)
    module = convert(Precise())
    expected = copy.deepcopy(module).float()(few_test.images).detach()
    found = module_reference(module, few_test.images, few_test.labels)
    assert np.allclose(found.logits, expected.numpy(), atol=1e-5)
    assert next(module.parameters()).dtype == next(convert(Precise()).parameters()).dtype, "the caller's is as it was"


class Elsewhere(Precise):
    """A network on another processor, which adds in another order."""

    rounding = 0.0

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.linear(images.flatten(1)) + self.rounding
        return logits


def test_its_digest_is_the_same_on_another_machine(few_test: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    net = Elsewhere()
    here = module_reference(net, few_test.images, few_test.labels).checkpoint
    monkeypatch.setattr(Elsewhere, "rounding", 1e-6)
    monkeypatch.setattr(torch, "__version__", "3.0")
    assert module_reference(net, few_test.images, few_test.labels).checkpoint.digest == here.digest
    with torch.no_grad():
        net.linear.bias.add_(1e-6)
    assert module_reference(net, few_test.images, few_test.labels).checkpoint.digest != here.digest


def test_a_caller_may_have_turned_gradients_off(few_test: Split) -> None:
    with torch.inference_mode():
        module_reference(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), few_test.images, few_test.labels)


def test_what_cannot_be_copied_is_one_line(few_test: Split) -> None:
    keeping = Keeping()
    keeping(few_test.images)
    with without_deprecations():
        program = torch.jit.trace(Precise().eval(), few_test.images[:2])
    for module, message in ((keeping, r"can't be copied \(.*load_state_dict"), (program, "give the torch.nn.Module")):
        with pytest.raises(UserError, match=message) as caught:
            module_reference(module, few_test.images, few_test.labels)
        assert "\n" not in str(caught.value)


class Bare(nn.Module):
    """Code that forgot to let torch prepare the module."""

    def __init__(self) -> None:
        pass


class Holding(Precise):
    """A module around one that was not prepared."""

    def __init__(self) -> None:
        super().__init__()
        self.part = Bare()


@pytest.mark.parametrize(("module", "where"), [(Bare(), "the Bare"), (Holding(), r"the layer part \(Bare\)")])
def test_a_module_without_its_base_is_one_line(module: nn.Module, where: str, few_test: Split) -> None:
    with pytest.raises(
        UserError, match=rf"{where} was made without super\(\)\.__init__\(\): call it first in its"
    ) as caught:
        module_reference(module, few_test.images, few_test.labels)
    assert "\n" not in str(caught.value)


HOOKED: dict[str, tuple[Callable[[nn.Linear], nn.Module], str]] = {
    "pruned": (lambda layer: prune.l1_unstructured(layer, "weight", 0.5), r"prune\.remove\(layer, 'weight'\)"),
    "pruned twice": (
        lambda layer: prune.random_unstructured(prune.l1_unstructured(layer, "bias", 0.5), "bias", 0.5),
        r"prune\.remove\(layer, 'bias'\)",
    ),
    "weight_norm": (weight_norm, r"remove_weight_norm\(layer, 'weight'\)"),
    "spectral_norm": (spectral_norm, r"remove_spectral_norm\(layer, 'weight'\)"),
}


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning")
@pytest.mark.parametrize("kind", HOOKED)
@pytest.mark.parametrize("gradients", [True, False])
def test_a_weight_that_a_hook_computes_is_named(kind: str, gradients: bool, few_test: Split) -> None:
    change, message = HOOKED[kind]
    module = Precise()
    change(module.linear)
    with torch.set_grad_enabled(gradients):
        module(few_test.images)
    with pytest.raises(UserError, match=rf"layer linear \(Linear\): call torch\.nn\.utils\.{message}") as caught:
        module_reference(module, few_test.images, few_test.labels)
    assert "\n" not in str(caught.value)


def test_it_answers_as_the_checkpoint_does(
    released: Checkpoint, few_test: Split, training_data: TrainingData, reference: Reference
) -> None:
    validation = training_data.validation
    found = module_reference(
        released.build(),
        few_test.images,
        few_test.labels,
        name="mnist",
        validation=(validation.images, validation.labels),
        preprocessing="mnist/3",
    )
    assert np.array_equal(found.logits, reference.logits[:200])
    assert found.checkpoint.task == released.task
    assert found.checkpoint.temperature == released.temperature
    assert found.checkpoint.thresholds.margin > 0
    shifted = tuple(index + len(training_data.train) for index in found.test_vectors.indices)
    assert shifted == reference.test_vectors.indices
    for name in ("images", "trained_logits"):
        assert np.array_equal(getattr(found.test_vectors, name), getattr(reference.test_vectors, name))


def test_bytes_are_images_in_255_steps(released: Checkpoint, few_test: Split) -> None:
    pixels = (few_test.images * 255).round().to(torch.uint8)
    found = module_reference(released.build(), pixels[:, 0], few_test.labels)
    assert found.images.dtype == np.float32
    assert np.array_equal(found.images, few_test.images.numpy())


def test_test_vectors_hold_the_logits_of_the_bytes_that_they_hold(released: Checkpoint, few_test: Split) -> None:
    """The images given lie between two bytes."""
    images = few_test.images * 0.9
    found = module_reference(released.build(), images, few_test.labels)
    vectors = found.test_vectors
    with torch.inference_mode():
        logits = released.build()(torch.from_numpy(vectors.inputs)).numpy()
        between = released.build()(images).numpy()
    assert np.abs(vectors.trained_logits - logits).max() < 1e-4
    assert np.abs(between[list(vectors.indices)] - logits).max() > 1e-3
    assert np.array_equal(found.images, images.numpy())


def test_labels_belong_to_what_the_data_are_known_by(released: Checkpoint, few_test: Split) -> None:
    def digest(labels: Tensor) -> str:
        return module_reference(released.build(), few_test.images, labels).checkpoint.data_digest

    assert digest(few_test.labels) == digest(few_test.labels.clone()) != digest(few_test.labels.flip(0))


@pytest.mark.slow
def test_a_module_of_rows_is_exported_with_its_normalization(
    released: Checkpoint, few_test: Split, tmp_path: Path
) -> None:
    net = Net(released.build(), 0.1307, 0.3081).train()
    before = copy.deepcopy(net.state_dict())
    images = (few_test.images * 255).round().to(torch.uint8)
    found = module_reference(net, images, few_test.labels, name="digits", mean=0.1307, std=0.3081)
    assert net.training
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    with torch.no_grad():
        expected = net.eval()((few_test.images.flatten(1) - 0.1307) / 0.3081).numpy()
    assert np.abs(found.logits - expected).max() < 1e-3
    with torch.no_grad():
        net.layers.get_parameter("fc1.weight").zero_()  # what becomes of it later changes nothing
    (artifact,) = mnist_edge.export(found, output=tmp_path)
    assert artifact.path.name == "digits-net.onnx"
    assert artifact.contract.temperature == 1
    report = mnist_edge.verify(artifact.path, found, layers=True)
    assert report, report.problems
    assert json.loads((tmp_path / "manifest.json").read_text())["artifacts"][0]["parity"]["passed"]
    again = tmp_path / "digits.safetensors"
    save_checkpoint(again, found.checkpoint)
    assert load_checkpoint(again).digest == artifact.contract.checkpoint


@pytest.mark.parametrize("given", [{"labels": 1}, {"mean": 30, "std": 58}])
def test_answers_hardly_better_than_guessing_are_pointed_out_to_the_caller(
    given: dict[str, int], released: Checkpoint, few_test: Split
) -> None:
    labels = (few_test.labels + given.pop("labels", 0)) % 10
    message = r"module:\w+: \d+\.\d\d% is hardly better than guessing: was the network trained on other images"
    with pytest.warns(UserWarning, match=message) as caught:
        module_reference(released.build(), few_test.images, labels, mean=given.get("mean"), std=given.get("std"))
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.slow
def test_export_takes_module_images_and_labels(released: Checkpoint, few_test: Split, tmp_path: Path) -> None:
    (artifact,) = mnist_edge.export(released.build(), few_test.images, few_test.labels, output=tmp_path)
    assert artifact.report
    assert artifact.report.images == 200
    assert artifact.contract.task.labels == tuple("0123456789")
    assert artifact.contract.task.preprocessing == "resize/1"
    with pytest.warns(UserWarning, match="is hardly better than guessing") as caught:
        mnist_edge.export(released.build(), few_test.images, 9 - few_test.labels, output=tmp_path)
    assert [warning.filename for warning in caught] == [__file__]
    with pytest.raises(UserError, match="a module is judged on labeled images"):
        mnist_edge.export(released.build(), output=tmp_path)


NAMED = r"name all classes with module_reference\(\.\.\., class_names=\[\.\.\.\]\)$"


def test_what_does_not_fit_together_is_one_line(released: Checkpoint, few_test: Split) -> None:
    net, images, labels = released.build(), few_test.images, few_test.labels
    nan = images.clone()
    nan[0, 0, 0, 0] = torch.nan
    cases: list[tuple[nn.Module, object, object, dict[str, object], str]] = [
        (
            net,
            (images - 0.13) / 0.31,
            labels,
            {},
            r"hold values from -0\.4194 to 2\.806, expected \[0, 1\]: give them as",
        ),
        (net, images - 0.1, labels, {}, r"hold values from -0\.1 to 0\.9, expected \[0, 1\]"),
        (net, nan, labels, {}, "hold values from nan to nan"),
        (net, images[:, 0, 0], labels, {}, r"\[200, 28\], expected .*; give rows of values as images\[:, None, None\]"),
        (net, images.long(), labels, {}, "the images are int64"),
        (net, images.bfloat16(), labels, {}, r"the images can't be read as one array of numbers \(.*BFloat16\)"),
        (net, [[[0.5] * 28] * 28, [[0.5]]], labels, {}, r"the images can't be read .*inhomogeneous"),
        (net, images, [[1, 2], [3]], {}, r"the labels can't be read as one array of numbers"),
        (net, images, labels, {"validation": (images, [[1], []])}, r"the labels can't be read"),
        (net, images[:0], labels[:0], {}, r"\[0, 1, 28, 28\], expected"),
        (net, images, labels[:9], {}, r"the labels are int64 \[9\], expected whole numbers \[200\]"),
        (net, images, labels.float(), {}, "the labels are float32"),
        (net, images, labels - 1, {}, "there are labels from -1 to 8, expected class indices from 0"),
        (net, images, 0 * labels - 1, {}, "there are labels from -1 to -1, expected class indices from 0"),
        (net, images, labels - 1, {"class_names": list("abcdefghi")}, "there are labels from -1 to 8, expected 0 to 8"),
        (net, images, labels + 2**40, {}, r"labels up to 1,099,511,627,785, expected class indices from 0 to 9,999$"),
        (net, images, labels + 9_991, {}, r"labels up to 10,000, expected class indices from 0 to 9,999$"),
        (net, images, 0 * labels, {}, f"all labels are 0, expected .*: {NAMED}"),
        (
            net,
            images,
            labels % 2,
            {},
            rf"gives float32 \[2, 10\] .* each of the 2 labels, which go up to 1: {NAMED}",
        ),
        (
            net,
            images,
            labels % 2,
            {"class_names": ["even", "odd"]},
            r"gives float32 \[2, 10\] .* each of the 2 labels$",
        ),
        (net, images, labels, {"class_names": ["a", "b"]}, "labels from 0 to 9, expected 0 to 1: see class_names"),
        (
            net,
            images,
            labels,
            {"class_names": list("abcdefghi")},
            "labels from 0 to 9, expected 0 to 8: see class_names",
        ),
        (
            net,
            images,
            labels,
            {"class_names": list("abcdefghi"), "validation": (images, 0 * labels)},
            "labels from 0 to 9, expected 0 to 8",
        ),
        (net, images, labels, {"class_names": "abcdefghij"}, "class_names is a str, expected a list of names"),
        (net, images, labels, {"class_names": dict(enumerate("abcdefghij"))}, "class_names is a dict, expected a list"),
        (net, images, labels, {"class_names": ["a"] * 10}, "labels are not at least two different ones"),
        (net, images, labels, {"name": "a/b"}, "does not fit into a file name"),
        (net, images, labels, {"preprocessing": "none/1"}, "there is no preprocessing 'none/1'"),
        (net, images, labels, {"mean": (0.1, 0.2), "std": 1}, "there are 2 numbers for the mean"),
        (net, images, labels, {"mean": "x", "std": 1}, "mean can't be read as numbers"),
        (
            net,
            images,
            labels,
            {"mean": 0.1},
            "there is mean without std: give std too; 1 if the images were only",
        ),
        (net, images, labels, {"std": 0.3}, "there is std without mean: give mean too; 0 if the images were only"),
        (net, images, labels, {"validation": (images[:, :, 1:], labels)}, r"there are images of \[1, 28, 28\] and of"),
        (
            net,
            images.repeat(1, 1, 1, 4),
            labels,
            {},
            r"1 or 3 channels .*96×96 pixels, not \[1, 28, 112\]: give channels",
        ),
        (net, images[..., :27], labels, {}, r"module:MLP raises RuntimeError .* with images"),
        (nn.Linear(3, 10), images, labels, {}, r"module:Linear raises RuntimeError"),
        (nn.Sequential(net, nn.Softmax(1)), images, labels, {}, "gives probabilities, expected logits"),
        (
            nn.Sequential(net, nn.Linear(10, 9)),
            images,
            labels,
            {},
            r"gives float32 \[2, 9\] .* expected float32 \[2, 10\]",
        ),
    ]
    for module, given, classes, more, message in cases:
        with pytest.raises(UserError, match=message) as caught:
            module_reference(module, given, classes, **more)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)
