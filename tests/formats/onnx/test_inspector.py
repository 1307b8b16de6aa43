"""What is read in ONNX files of networks whose logits are larger than usual."""

from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
import pytest
import torch
from torch import nn

import mnist_edge
from mnist_edge.artifact.bundle import Bundle
from mnist_edge.formats.registry import FORMATS

ONNX = FORMATS["onnx"]


def normalized(factor: float) -> nn.Module:
    """Return a network with a batch normalization to be folded, which moves logits by a few parts in ten million."""
    torch.manual_seed(0)
    norm, last = nn.BatchNorm2d(8), nn.Linear(800, 5)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    last.weight.data *= factor
    return nn.Sequential(nn.Conv2d(1, 8, 3), norm, nn.ReLU(), nn.Flatten(), last).eval()


def problems(data: bytes) -> tuple[str, ...]:
    bundle = Bundle.of_file(data)
    with ONNX.open(bundle) as runner:
        inspection = ONNX.inspect(bundle, runner)
    assert inspection is not None
    return inspection.problems


@pytest.mark.slow
@pytest.mark.parametrize(("factor", "off"), [(1, 2e-5), (300, 2e-4)])
def test_the_definition_of_its_operators_may_differ_by_a_share_of_large_logits(
    factor: float, off: float, tmp_path: Path
) -> None:
    network, images = normalized(factor), torch.rand(60, 1, 12, 12)
    with torch.no_grad():
        labels = network(images).argmax(1)
    labels[:5] = torch.arange(5)
    (artifact,) = mnist_edge.export(network, images, labels, output=tmp_path)
    model = onnx.load(artifact.path)
    assert problems(model.SerializeToString()) == ()
    (bias,) = [tensor for tensor in model.graph.initializer if tensor.name.endswith("4.bias")]
    changed = onnx.numpy_helper.to_array(bias) + np.float32(off)
    bias.CopyFrom(onnx.numpy_helper.from_array(changed, bias.name))
    (problem,) = problems(model.SerializeToString())
    assert problem.startswith("its operators give logits off by")
