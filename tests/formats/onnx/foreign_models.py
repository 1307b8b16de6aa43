"""ONNX files as other tools write them, without a contract of ours."""

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

from mnist_edge.training.checkpoint import Checkpoint
from mnist_edge.types import AnyArray

FLOAT, UINT8 = onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8


def flat_mlp(
    checkpoint: Checkpoint,
    *,
    shape: Sequence[int | str] = ("batch", 784),
    dtype: int = FLOAT,
    last: str = "Softmax",
) -> bytes:
    """Return an MLP of ours as a file of somebody else's: it takes rows of pixels, and gives probabilities."""
    weights = {name: tensor.numpy() for name, tensor in checkpoint.weights.items()}
    nodes, value = [onnx.helper.make_node("Flatten", ["pixels"], ["flat"])], "flat"
    for number in (1, 2, 3):
        names = [value, f"fc{number}.weight", f"fc{number}.bias"]
        nodes.append(onnx.helper.make_node("Gemm", names, [f"sum{number}"], transB=1))
        kind = last if number == 3 else "Relu"
        nodes.append(onnx.helper.make_node(kind, [f"sum{number}"], [f"value{number}"]))
        value = f"value{number}"
    graph = onnx.helper.make_graph(
        nodes,
        "net",
        [onnx.helper.make_tensor_value_info("pixels", dtype, shape)],
        [onnx.helper.make_tensor_value_info(value, FLOAT, [shape[0], 10])],
        [onnx.numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in weights.items()],
    )
    model = onnx.helper.make_model(graph, producer_name="another\x1b[31m tool", producer_version="9")
    model.ir_version, model.opset_import[0].version = 8, 17
    data: bytes = model.SerializeToString()
    return data


def of_nodes(
    nodes: Sequence[onnx.NodeProto],
    shape: Sequence[int | str],
    constants: Mapping[str, AnyArray] | None = None,
    outputs: Sequence[str] = ("logits",),
) -> bytes:
    """Return a graph from `pixels`, float32 of this shape, to `outputs`."""
    graph = onnx.helper.make_graph(
        nodes,
        "net",
        [onnx.helper.make_tensor_value_info("pixels", FLOAT, shape)],
        [onnx.helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
        [onnx.numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    model = onnx.helper.make_model(graph)
    model.ir_version, model.opset_import[0].version = 8, 17
    data: bytes = model.SerializeToString()
    return data


def flat_sums(shape: Sequence[int | str], classes: int) -> bytes:
    """Return a graph that gives each image the sum of its numbers, as each of its logits."""
    size = prod(side for side in shape[1:] if isinstance(side, int))
    nodes = [
        onnx.helper.make_node("Flatten", ["pixels"], ["flat"]),
        onnx.helper.make_node("Gemm", ["flat", "weight"], ["logits"]),
    ]
    return of_nodes(nodes, shape, {"weight": np.ones((size, classes), np.float32)})
