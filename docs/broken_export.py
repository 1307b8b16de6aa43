"""Two exports that go wrong, for the walk through a failed export in docs/parity.md.

Each stands for a tool that changes the file after the exporter: one stores the weights of a layer in bfloat16 to save
space, one optimizes an activation away. `export` refuses both, and leaves no file. They are then written to
`exports/broken/` without its consent, to be examined.

    python docs/broken_export.py
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import onnx
import onnx.numpy_helper
import torch
from torch import nn

import mnist_edge
from mnist_edge.artifact.bundle import Bundle
from mnist_edge.atomic import atomic_write
from mnist_edge.exporting.pipeline import ParityError
from mnist_edge.formats.build import ExportRequest
from mnist_edge.formats.onnx import exporter
from mnist_edge.formats.registry import FORMATS
from mnist_edge.parity.reference import Reference, load_reference

ROOT = Path(__file__).parent.parent
CHECKPOINT = ROOT / "release" / "mnist-mlp.safetensors"
BROKEN = Path("exports/broken")
ONNX = FORMATS["onnx"]

Tool = Callable[[onnx.ModelProto], None]
"""Changes a model in place."""


def round_weights(model: onnx.ModelProto) -> None:
    """Round the weights of the second layer to bfloat16, which keeps eight bits of each."""
    (tensor,) = [tensor for tensor in model.graph.initializer if tensor.name == "fc2.weight"]
    rounded = torch.tensor(onnx.numpy_helper.to_array(tensor)).bfloat16().float().numpy()
    tensor.CopyFrom(onnx.numpy_helper.from_array(rounded, tensor.name))


def drop_relu(model: onnx.ModelProto) -> None:
    """Make the second ReLU hand its input on."""
    relu = [node for node in model.graph.node if node.op_type == "Relu"][1]
    relu.op_type = "Identity"


@contextmanager
def followed_by(tool: Tool) -> Iterator[None]:
    """Let the ONNX exporter be followed by a tool that changes its files."""
    faithful = exporter.export

    def broken(model: nn.Module, requests: Sequence[ExportRequest]) -> list[Bundle]:
        return [changed(bundle, tool) for bundle in faithful(model, requests)]

    exporter.export = broken
    try:
        yield
    finally:
        exporter.export = faithful


def changed(bundle: Bundle, tool: Tool) -> Bundle:
    """Return an ONNX file after a tool."""
    model = onnx.ModelProto.FromString(bundle.data)
    tool(model)
    return Bundle.of_file(bytes(model.SerializeToString(deterministic=True)))


def unjudged(reference: Reference, scheme: str = "none") -> Bundle:
    """Return the ONNX file of the reference's checkpoint in a scheme, compared with nothing."""
    found = ONNX.scheme(scheme)
    assert found is not None, "ONNX has the schemes that are asked for here"
    request = reference.request(ONNX, found, ONNX.options)
    return exporter.export(reference.checkpoint.build(), [request])[0]


def main() -> None:
    """Show that both are refused, then write them all the same, with a checksum that fits."""
    reference = load_reference(CHECKPOINT, ROOT / "data")
    for name, tool in {"rounded-weights": round_weights, "dropped-relu": drop_relu}.items():
        with followed_by(tool):
            try:
                mnist_edge.export(reference, output=BROKEN)
            except ParityError as error:
                print(f"{name}: {error}\n")
            atomic_write(BROKEN / f"{name}.onnx", unjudged(reference).with_checksum().data)


if __name__ == "__main__":
    main()
