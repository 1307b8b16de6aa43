"""ONNX files as other tools write them, without a contract of ours."""

from collections.abc import Sequence

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

from mnist_edge.training.checkpoint import Checkpoint

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
