"""Layers and ways of writing that users bring, in the formats that hold them."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import mnist_edge

pytestmark = pytest.mark.slow

SIDE = 12
TORCHES = ("torchscript", "torch-export")
FLOATS = ("onnx", *TORCHES)


class Written(nn.Module):
    """Layers, and a function that puts them together."""

    def __init__(self, forward: Callable[[nn.ModuleDict, Tensor], Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.layers, self.together = nn.ModuleDict(layers), forward

    def forward(self, images: Tensor) -> Tensor:
        return self.together(self.layers, images)


class Scaled(nn.Module):
    """A factor without sides, as a temperature is."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(SIDE * SIDE, 5)
        self.scale = nn.Parameter(torch.tensor(1.5))
        self.register_buffer("shift", torch.tensor(0.25))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.linear(images.flatten(1)) * self.scale + self.shift
        return logits


class Attention(nn.Module):
    """A head of attention over rows."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(SIDE, 8) for _ in range(3))
        self.last = nn.Linear(8, 5)

    def forward(self, images: Tensor) -> Tensor:
        rows = images.squeeze(1)
        weights = torch.softmax(self.query(rows) @ self.key(rows).transpose(1, 2), -1)
        logits: Tensor = self.last((weights @ self.value(rows)).mean(1))
        return logits


class VisionTransformer(nn.Module):
    """Patches, a class token, positions, and an encoder of torch's own layers (Dosovitskiy et al. 2021)."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 16, 4, 4)
        self.token, self.positions = (nn.Parameter(torch.randn(1, count, 16) / 4) for count in (1, 10))
        layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Linear(16, 5)

    def forward(self, images: Tensor) -> Tensor:
        patches = self.patches(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(patches.shape[0], -1, -1), patches], 1) + self.positions
        logits: Tensor = self.head(self.encoder(tokens)[:, 0])
        return logits


class Heads(nn.Module):
    """Attention of several heads, as it is written by hand, by torch's function."""

    def __init__(self) -> None:
        super().__init__()
        self.together, self.last = nn.Linear(SIDE, 24), nn.Linear(8, 5)

    def forward(self, images: Tensor) -> Tensor:
        count, rows, _ = images.squeeze(1).shape
        parts = self.together(images.squeeze(1)).reshape(count, rows, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        seen = nn.functional.scaled_dot_product_attention(*parts).transpose(1, 2).reshape(count, rows, 8)
        logits: Tensor = self.last(seen.mean(1))
        return logits


class Product(nn.Module):
    """Weights that are multiplied with as matrices of a batch, not as a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.randn(1, SIDE * SIDE, 8) / SIDE)
        self.last = nn.Linear(8, 5)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.last(torch.matmul(images.flatten(1).unsqueeze(1), self.weights).flatten(1))
        return logits


class InPixels(nn.Module):
    """An image that is rounded to whole numbers of 8 bits, and where it is light, among floats."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(SIDE * SIDE, 5)

    def forward(self, images: Tensor) -> Tensor:
        pixels = (images * 255).to(torch.uint8)
        logits: Tensor = self.linear((pixels.float() / 255 + (images > 0.5).float()).flatten(1))
        return logits


def tied() -> nn.Module:
    first, second = nn.Linear(16, 16), nn.Linear(16, 16)
    second.weight = first.weight
    return nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 16), first, nn.ReLU(), second, nn.Linear(16, 5))


def twice(layers: nn.ModuleDict, images: Tensor) -> Tensor:
    hidden = layers["relu"](layers["first"](images.flatten(1)))
    logits: Tensor = layers["last"](layers["relu"](layers["middle"](layers["relu"](layers["middle"](hidden)))))
    return logits


def zero_biases() -> nn.Module:
    network = convolution(nn.ReLU(), nn.Conv2d(4, 4, 3), features=256)
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
    return network


def halves(layers: nn.ModuleDict, images: Tensor) -> Tensor:
    first, second = layers["first"](images).chunk(2, dim=1)
    third, fourth = torch.split(first, 1, dim=1)
    logits: Tensor = layers["last"](torch.cat((fourth, second.relu(), third), 1).flatten(1))
    return logits


def shuffled(layers: nn.ModuleDict, images: Tensor) -> Tensor:
    hidden = layers["shuffle"](layers["first"](images))
    gated = nn.functional.glu(0.5 * hidden + 0.25 * layers["second"](images), 1)
    rows = layers["rows"](images.squeeze(1))
    logits: Tensor = layers["last"](torch.cat((gated.flatten(1), layers["norm"](rows)[:, 0]), 1))
    return logits


def pooled(layers: nn.ModuleDict, images: Tensor) -> Tensor:
    hidden = layers["first"](images)
    parts = (nn.functional.adaptive_max_pool2d(hidden, 3), hidden.amin((2, 3), keepdim=True).repeat(1, 1, 3, 3))
    logits: Tensor = layers["last"](
        torch.cat((*(part.flatten(1) for part in parts), hidden.floor()[:, :2, :2, :2].flatten(1)), 1)
    )
    return logits


def beside(layers: nn.ModuleDict, images: Tensor) -> Tensor:
    hidden, (*activations, last) = layers["first"](images), list(layers.values())[1:]
    logits: Tensor = last(torch.cat([activation(hidden * 1) for activation in activations], 1).flatten(1))
    return logits


def with_activations(*activations: nn.Module) -> nn.Module:
    """Return a network that gives what each of them gives of a convolution; the last may give half as many channels."""
    layers = {type(activation).__name__: activation for activation in activations}
    features = len(layers) * 400 - 200 * ("GLU" in layers)
    return Written(beside, first=nn.Conv2d(1, 4, 3), **layers, last=nn.Linear(features, 5))


def hyphen(layers: nn.ModuleDict, images: Tensor) -> Tensor:
    logits: Tensor = layers["first-half"](images.flatten(1))
    return logits


class Limited(nn.Module):
    """Limits of values that runtimes compute together with the layer before them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3, groups=4)
        self.third, self.fourth = nn.Conv2d(4, 4, 3), nn.Conv2d(4, 8, 3)
        self.fifth, self.last = nn.Linear(128, 16), nn.Linear(16, 5)

    def forward(self, images: Tensor) -> Tensor:
        hidden = nn.functional.leaky_relu(self.second(nn.functional.relu6(self.first(images))), 0.1)
        hidden = self.fourth(nn.functional.hardtanh(self.third(hidden))).clamp(min=0)
        logits: Tensor = self.last(nn.functional.relu6(self.fifth(hidden.flatten(1))).clamp(0.25, 1e9))
        return logits


def lenet(activation: nn.Module) -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), activation, nn.AvgPool2d(2), nn.Flatten()),
        *(nn.Linear(6 * 36, 20), copy.deepcopy(activation), nn.Linear(20, 5)),
    )


def with_indices(layers: nn.ModuleDict, images: Tensor) -> Tensor:
    maxima, _ = layers["pool"](layers["first"](images).relu())
    logits: Tensor = layers["last"](maxima.flatten(1))
    return logits


def convolution(*others: nn.Module, features: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), *others, nn.Flatten(), nn.Linear(features, 5))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[str, ...]]] = {
    "hyperbolic tangent": (lambda: lenet(nn.Tanh()), (*FLOATS, "litert", "executorch", "ncnn", "openvino")),
    "smooth activations": (
        lambda: with_activations(nn.PReLU(4), nn.Softplus(), nn.Softsign(), nn.LogSigmoid(), nn.CELU(0.5), nn.GLU(1)),
        (*FLOATS, "openvino"),
    ),
    "activations with steps": (
        lambda: with_activations(nn.Threshold(0.1, 0.05), nn.Hardshrink(0.2), nn.Softshrink(0.2), nn.RReLU()),
        (*TORCHES, "openvino"),
    ),
    "activations in place": (
        lambda: with_activations(
            *(kind(inplace=True) for kind in (nn.CELU, nn.SELU, nn.Mish, nn.RReLU)), nn.Threshold(0.1, 0.05, True)
        ),
        TORCHES,
    ),
    "relu6": (lambda: lenet(nn.ReLU6()), FLOATS),
    "limits of values": (Limited, ("ncnn",)),
    "normalization of the image": (lambda: nn.Sequential(nn.BatchNorm2d(1), convolution(features=400)), ("ncnn",)),
    "a linear layer of rows": (
        lambda: nn.Sequential(nn.Conv2d(1, 3, 3), nn.Linear(10, 6), nn.ReLU(), nn.Flatten(), nn.Linear(180, 5)),
        (*FLOATS, "ncnn"),
    ),
    "sigmoid at the end": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 5), nn.Sigmoid()), FLOATS),
    "a layer used twice": (
        lambda: Written(
            *(twice,), first=nn.Linear(SIDE * SIDE, 16), middle=nn.Linear(16, 16), last=nn.Linear(16, 5), relu=nn.ReLU()
        ),
        FLOATS,
    ),
    "tied weights": (tied, (*FLOATS, "c", "numpy")),
    "factors without sides": (Scaled, FLOATS),
    "ceil mode": (lambda: convolution(nn.MaxPool2d(3, 2, ceil_mode=True), features=100), FLOATS),
    "ceil mode, padded": (
        lambda: convolution(nn.AvgPool2d(2, 3, padding=1, ceil_mode=True), features=64),
        FLOATS,
    ),
    "pools whose windows end behind the image": (
        lambda: convolution(
            nn.MaxPool2d(2, 1, padding=(1, 0), ceil_mode=True), nn.AvgPool2d(4, 4, ceil_mode=True), features=36
        ),
        ("onnx",),
    ),
    "a pool that also says where its maxima are": (
        lambda: Written(
            with_indices, first=nn.Conv2d(1, 4, 3), pool=nn.MaxPool2d(2, return_indices=True), last=nn.Linear(100, 5)
        ),
        FLOATS,
    ),
    "padding by name": (
        lambda: nn.Sequential(nn.Conv2d(1, 2, 3, padding="same"), nn.Flatten(), nn.Linear(288, 5)),
        FLOATS,
    ),
    "an approximation by name": (lambda: convolution(nn.GELU("tanh"), features=400), FLOATS),
    "attention": (Attention, FLOATS),
    "attention of several heads": (Heads, FLOATS),
    "a vision transformer": (VisionTransformer, (*FLOATS, "ncnn")),
    "biases of zeros": (zero_biases, (*FLOATS, "c", "litert")),
    "a dropout in place": (
        lambda: convolution(nn.Dropout2d(0.2, inplace=True), nn.Hardsigmoid(inplace=True), features=400),
        FLOATS,
    ),
    "a name with a hyphen": (lambda: Written(hyphen, **{"first-half": nn.Linear(SIDE * SIDE, 5)}), FLOATS),
    "halves of the channels": (
        lambda: Written(halves, first=nn.Conv2d(1, 4, 3), last=nn.Linear(400, 5)),
        (*FLOATS, "ncnn", "openvino"),
    ),
    "pools and repeats": (
        lambda: Written(pooled, first=nn.Conv2d(1, 4, 3), last=nn.Linear(80, 5)),
        ("openvino",),
    ),
    "shuffled channels, gates and rows": (
        lambda: Written(
            *(shuffled,),
            first=nn.Conv2d(1, 8, 3),
            second=nn.Conv2d(1, 8, 3),
            shuffle=nn.ChannelShuffle(4),
            rows=nn.Linear(SIDE, 8, bias=False),
            norm=nn.RMSNorm(8),
            last=nn.Linear(408, 5),
        ),
        ("ncnn",),
    ),
}


def images_and_labels(network: nn.Module) -> tuple[Tensor, Tensor]:
    """Return random images, and as labels what the network answers, with each of five classes among them."""
    images = torch.rand(200, 1, SIDE, SIDE)
    with torch.no_grad():
        labels = network.eval()(images).argmax(1)
    labels[:5] = torch.arange(5)
    return images, labels


def assert_is_exported(make: Callable[[], nn.Module], formats: tuple[str, ...], folder: Path) -> None:
    torch.manual_seed(0)
    network = make()
    artifacts = mnist_edge.export(network, *images_and_labels(network), formats=formats, output=folder)
    assert [artifact.format for artifact in artifacts] == list(formats)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_exported_in_float32(name: str, tmp_path: Path) -> None:
    assert_is_exported(*NETWORKS[name], tmp_path)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8", "int4"])
def test_a_network_that_rounds_its_images_is_exported_to_onnx(precision: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = InPixels()
    network.linear.bias.data = torch.tensor([9.0, 0, 0, 0, 0])  # no rounding of weights changes the answer
    (artifact,) = mnist_edge.export(network, *images_and_labels(network), precisions=[precision], output=tmp_path)
    assert artifact.contract.precision == precision


def test_a_transformer_is_exported_in_int8(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = VisionTransformer()
    network.head.bias.data = torch.tensor([9.0, 0, 0, 0, 0])  # no rounding changes the answer
    (artifact,) = mnist_edge.export(network, *images_and_labels(network), precisions=["int8"], output=tmp_path)
    assert artifact.contract.precision == "int8"


def test_a_product_of_matrices_is_exported_to_litert_in_int8(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Product()
    network.last.bias.data = torch.tensor([9.0, 0, 0, 0, 0])  # no rounding changes the answer
    (artifact,) = mnist_edge.export(
        network, *images_and_labels(network), formats=["litert"], precisions=["int8"], output=tmp_path
    )
    assert artifact.contract.precision == "int8"


def test_large_logits_differ_by_more_and_as_many_digits_are_the_same(tmp_path: Path) -> None:
    """Of two thousand sums of hundreds of products, float32 gives five to six digits."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 256), nn.ReLU(), nn.Linear(256, 5))
    network.get_parameter("3.weight").data *= 1_000
    formats = (*FLOATS, "c", "numpy", "litert")
    artifacts = mnist_edge.export(network, *images_and_labels(network), formats=formats, output=tmp_path)
    found = [artifact.report.max_abs_diff for artifact in artifacts]
    assert any(difference is not None and difference > 1e-4 for difference in found)


def test_a_few_floats_do_not_keep_a_network_from_four_bits(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        *(nn.Conv2d(1, 8, 3), nn.PReLU(8), nn.Flatten(), nn.Linear(800, 16), nn.ReLU(), nn.Linear(16, 5)),
    )
    network.get_parameter("5.bias").data = torch.tensor([9.0, 0, 0, 0, 0])  # no rounding changes the answer
    (artifact,) = mnist_edge.export(network, *images_and_labels(network), precisions=["int4"], output=tmp_path)
    assert artifact.size < 4 * 800 * 16 / 2


@pytest.mark.parametrize("scheme", [None, "static-qdq-channel"])
def test_a_normalization_over_planes_does_not_end_the_search_for_an_int8_scheme(
    scheme: str | None, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network = convolution(nn.LayerNorm([4, 10, 10]), features=400)
    bias = network.get_parameter("3.bias")
    bias.data = torch.tensor([9.0, 0, 0, 0, 0])  # no rounding changes the answer
    images, labels = images_and_labels(network)
    (artifact,) = mnist_edge.export(network, images, labels, precisions=["int8"], scheme=scheme, output=tmp_path)
    assert scheme in (None, artifact.contract.scheme)
