import dataclasses
import re
import sys
import types
import warnings
import zipfile
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.errors import UserError
from mnist_edge.exporting.pipeline import Artifact
from mnist_edge.formats.registry import FORMATS
from mnist_edge.formats.torchscript import exporter
from mnist_edge.formats.torchscript.archive import read_archive
from mnist_edge.formats.torchscript.deprecations import without_deprecations
from mnist_edge.formats.torchscript.exporter import export
from mnist_edge.formats.torchscript.inspector import inspect
from mnist_edge.parity.reference import Reference
from tests.formats.c.networks import request_for
from tests.parity.unjudged import unjudged


def test_the_archive_is_sound_and_holds_no_debug_records(exported: list[Artifact]) -> None:
    for artifact in exported:
        if artifact.format == "torchscript":
            with zipfile.ZipFile(artifact.path) as archive:
                assert archive.testzip() is None
                assert not [name for name in archive.namelist() if "debug" in name or "traced_inputs" in name]


def test_libtorch_without_us_can_load_it(exported: list[Artifact]) -> None:
    for artifact in exported:
        if artifact.format == "torchscript":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                module = torch.jit.load(artifact.path)
            assert module(torch.rand(3, 1, 28, 28)).shape == (3, 10)


def test_a_torch_without_eager_quantization_says_what_it_needs(
    reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.ao.quantization", types.ModuleType("torch.ao.quantization"))
    with pytest.raises(UserError, match="no eager quantization"):
        unjudged(FORMATS["torchscript"], reference, "dynamic-s8")


class Named(nn.Module):
    """A network whose only layer has a name of its own."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name, self.layers = name, nn.ModuleDict({name: nn.Linear(4, 2)})

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers[self.name](images.flatten(1))
        return logits


@pytest.mark.parametrize(
    ("name", "allowed"),
    [("größe 1", False), ("a*/b@x@", False), ('a"b', False), ("class", False), ("first-half 1!", True)],
)
def test_a_layer_whose_name_cannot_be_in_code_is_named(name: str, allowed: bool) -> None:
    model = Named(name).eval()
    request = request_for(model, np.ones((6, 1, 2, 2), np.float32), quantized=False)
    if allowed:
        (bundle,) = export(model, [request])
        assert read_archive(bundle.data)
    else:
        with pytest.raises(
            UserError, match=f"^torchscript can't hold .* named layers.{re.escape(name)}: .* rename it$"
        ):
            export(model, [request])


@pytest.mark.parametrize("function", ["trace", "trace_method", "script", "script_method", "save", "load"])
def test_only_the_known_deprecations_are_silenced(function: str) -> None:
    def warn() -> None:
        with without_deprecations():
            warnings.warn(f"`torch.jit.{function}` is deprecated. Please switch.", FutureWarning, stacklevel=1)
            unsupported = f"`torch.jit.{function}` is not supported in Python 3.14+ and may break. Please switch."
            warnings.warn(unsupported, FutureWarning, stacklevel=1)
            warnings.warn("something else", FutureWarning, stacklevel=1)

    with pytest.warns(FutureWarning) as caught:
        warn()
    assert [str(warning.message) for warning in caught] == ["something else"]


def in_int8(model: nn.Module) -> Bundle:
    """Return what the exporter makes of a network for images of 4×4 pixels, in the first of its int8 schemes."""
    images = np.random.default_rng(0).integers(0, 256, (20, 1, 4, 4)).astype(np.float32) / np.float32(255)
    request = request_for(model.eval(), images, quantized=False)
    export(model, [request])
    int8 = next(scheme for scheme in FORMATS["torchscript"].schemes if scheme.quantized)
    contract = dataclasses.replace(request.contract, precision="int8", scheme=int8.name)
    (bundle,) = export(model, [dataclasses.replace(request, contract=contract, scheme=int8)])
    return bundle


class Doubled(nn.Linear):
    """A layer that torch does not quantize."""

    def forward(self, values: Tensor) -> Tensor:
        return 2 * super().forward(values)


class Direct(nn.Module):
    """A layer whose weight is used, which may also be called."""

    def __init__(self, *, called: bool) -> None:
        super().__init__()
        self.called, self.first, self.second = called, nn.Linear(16, 8, bias=False), nn.Linear(16, 8)
        self.last = nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        values = images.flatten(1)
        hidden = nn.functional.linear(values, nn.functional.normalize(torch.cat([self.first.weight])))
        other: Tensor = self.second(values)
        logits: Tensor = self.last(hidden + other + (self.first(values) if self.called else 0))
        return logits


def with_own_forward() -> nn.Module:
    linear = nn.Linear(16, 3)
    vars(linear)["forward"] = lambda values: 2 * nn.functional.linear(values, linear.weight, linear.bias)
    return nn.Sequential(nn.Flatten(), linear)


NONE = r"^torchscript has no int8 for this network: .*"
REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "a forward of a layer's own": (with_own_forward, r"int8.* layer 1 \(Linear\).* forward\(\)"),
    "only classes made of linear layers": (
        lambda: nn.Sequential(nn.Flatten(), Doubled(16, 3)),
        NONE + r"stay float32, such as 1\.weight: export int8 with --format onnx$",
    ),
    "mostly classes made of linear layers": (
        lambda: nn.Sequential(nn.Flatten(), Doubled(16, 12), nn.Linear(12, 8), Doubled(8, 8), nn.Linear(8, 3)),
        NONE + r"such as 1\.weight",
    ),
    "only convolutions": (
        lambda: nn.Sequential(nn.Conv2d(1, 3, 4), nn.Flatten()),
        NONE + r"it has no nn\.Linear that torch quantizes: export int8 with --format onnx$",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_int8_that_torch_cannot_make_is_refused(name: str) -> None:
    make, message = REFUSED[name]
    with pytest.raises(UserError, match=message):
        in_int8(make())


ALLOWED: dict[str, Callable[[], nn.Module]] = {
    "a few classes made of linear layers": lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 8), Doubled(8, 3)),
    "mostly convolutions": lambda: nn.Sequential(nn.Conv2d(1, 64, 4), nn.Flatten(), nn.Linear(64, 3)),
    "a weight that is used": lambda: Direct(called=False),
    "a weight that is used, of a layer that is called": lambda: Direct(called=True),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_int8_leaves_floats_that_torch_does_not_quantize(name: str) -> None:
    bundle = in_int8(ALLOWED[name]())
    with FORMATS["torchscript"].open(bundle) as runner:
        inspection = inspect(bundle, runner)
    assert not inspection.problems
    kinds = {kind for kind, _ in inspection.summary.tensors.values()}
    assert kinds == {"float32", "qint8"}


def test_an_int8_file_whose_matrices_are_mostly_float32_is_not_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "check_quantized", lambda _: None)
    bundle = in_int8(nn.Sequential(nn.Flatten(), Doubled(16, 12), nn.Linear(12, 3)))
    with FORMATS["torchscript"].open(bundle) as runner:
        problems = inspect(bundle, runner).problems
    assert problems == ("most weights in the module's matrices, such as 1.weight, are fp32, its contract says int8",)
