import dataclasses
import re
import sys
import types
import warnings
import zipfile

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mnist_edge.errors import UserError
from mnist_edge.exporting.pipeline import Artifact
from mnist_edge.formats.registry import FORMATS
from mnist_edge.formats.torchscript.archive import read_archive
from mnist_edge.formats.torchscript.deprecations import without_deprecations
from mnist_edge.formats.torchscript.exporter import export
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


def test_int8_of_a_layer_with_a_forward_of_its_own_is_refused() -> None:
    linear = nn.Linear(16, 3)
    vars(linear)["forward"] = lambda values: 2 * nn.functional.linear(values, linear.weight, linear.bias)
    model = nn.Sequential(nn.Flatten(), linear).eval()
    images = np.random.default_rng(0).integers(0, 256, (20, 1, 4, 4)).astype(np.float32) / np.float32(255)
    request = request_for(model, images, quantized=False)
    export(model, [request])
    int8 = next(scheme for scheme in FORMATS["torchscript"].schemes if scheme.quantized)
    with pytest.raises(UserError, match=r"int8.* layer 1 \(Linear\).* forward\(\)"):
        export(model, [dataclasses.replace(request, scheme=int8)])
