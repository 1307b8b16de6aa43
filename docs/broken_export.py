"""Two exports that go wrong, for the walk through a failed export in docs/parity.md.

Each stands for a tool that changes the file after the exporter: one stores the weights of a layer in bfloat16 to save
space, one optimises an activation away. `export` refuses both, and leaves no file. They are then written to
`exports/broken/` without its consent, to be examined.

    python docs/broken_export.py
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import onnx
import onnx.numpy_helper
import torch
from torch import nn

from mnist_edge.exporting.pipeline import OPSET, ParityError, export
from mnist_edge.formats.base import Format
from mnist_edge.formats.onnx.exporter import ONNX
from mnist_edge.parity.comparison import Reference
from mnist_edge.parity.reference import load_reference
from mnist_edge.parity.verify import expected_contract
from mnist_edge.atomic import atomic_write
from mnist_edge.artifact.contract import UNQUANTIZED, Contract
from mnist_edge.artifact.test_vectors import Golden
from mnist_edge.artifact.checksum import seal

ROOT = Path(__file__).parent.parent
CHECKPOINT = ROOT / "release" / "mnist-mlp.safetensors"
BROKEN = Path("exports/broken")


def round_weights(model: onnx.ModelProto) -> None:
    """Round the weights of the second layer to bfloat16, which keeps eight bits of each."""
    (tensor,) = [tensor for tensor in model.graph.initializer if tensor.name == "fc2.weight"]
    rounded = torch.tensor(onnx.numpy_helper.to_array(tensor)).bfloat16().float().numpy()
    tensor.CopyFrom(onnx.numpy_helper.from_array(rounded, tensor.name))


def drop_relu(model: onnx.ModelProto) -> None:
    """Make the second ReLU hand its input on."""
    relu = [node for node in model.graph.node if node.op_type == "Relu"][1]
    relu.op_type = "Identity"


def with_a_tool(tool: Callable[[onnx.ModelProto], None]) -> Format:
    """Return ONNX with an exporter followed by a tool that changes its files."""

    def broken_export(model: nn.Module, contracts: Sequence[Contract], golden: Golden) -> list[bytes]:
        return [changed(data) for data in ONNX.export(model, contracts, golden)]

    def changed(data: bytes) -> bytes:
        graph = onnx.ModelProto.FromString(data)
        tool(graph)
        return bytes(graph.SerializeToString(deterministic=True))

    return dataclasses.replace(ONNX, export=broken_export)


def unjudged(format: Format, reference: Reference, scheme: str = UNQUANTIZED) -> bytes:
    """Return a format's file of the reference's checkpoint, sealed as a forger would."""
    contract = expected_contract(reference, scheme, OPSET)
    (data,) = format.export(reference.checkpoint.build(), [contract], reference.golden)
    return seal(data)


def main() -> None:
    """Show that both are refused, then write them all the same."""
    reference = load_reference(CHECKPOINT, ROOT / "data")
    for name, tool in {"rounded-weights": round_weights, "dropped-relu": drop_relu}.items():
        format = with_a_tool(tool)
        try:
            export(reference, [format], ["fp32"], BROKEN)
        except ParityError as error:
            print(f"{name}: {error}\n")
        atomic_write(BROKEN / f"{name}.onnx", unjudged(format, reference))


if __name__ == "__main__":
    main()
