"""Reading an ONNX graph: who makes and who uses each tensor, and what it stores."""

import re
from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx.numpy_helper
from numpy.typing import NDArray

from mnist_edge.formats.build import StoredTensor, float_tensor, half_tensor, int8_tensor, scaled_tensor

INTEGER_PRODUCTS = {"MatMulInteger", "ConvInteger", "QLinearMatMul", "QLinearConv"}
"""Operators that multiply and add in integers."""

PRODUCTS = {"Gemm", "MatMul", "Conv", *INTEGER_PRODUCTS}
"""Operators that multiply by weights."""

_PREPARES_WEIGHTS = {"DequantizeLinear", "Mul", "Transpose", "Reshape", "Cast", "Identity"}
"""What may lie between a stored weight and its product."""

_QUANTIZES = {"QuantizeLinear", "DequantizeLinear", *INTEGER_PRODUCTS}
"""Operators that take scales and zero points."""

_LIMITS: dict[np.dtype[Any], tuple[int, int]] = {
    np.dtype(np.int8): (-128, 127),
    np.dtype(np.uint8): (0, 255),
    np.dtype(ml_dtypes.int4): (-8, 7),
    np.dtype(ml_dtypes.uint4): (0, 15),
}
"""Least and greatest of the whole numbers that weights are rounded to."""


class GraphIndex:
    """An ONNX graph with an index of who makes and who uses each tensor.

    Attributes:
        nodes: in the order of the computation.
        makers: the node that makes each tensor.
        users: the nodes that use each tensor.
        constants: the stored tensors by name.
        outputs: names of the graph's outputs.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        """Index a graph."""
        self.nodes = list(graph.node)
        self.makers = {name: node for node in graph.node for name in node.output}
        self.users: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self.users.setdefault(name, []).append(node)
        self.constants: dict[str, NDArray[Any]] = {
            tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer
        }
        self.outputs = {tensor.name for tensor in graph.output}

    def product_of(self, tensor: str) -> onnx.NodeProto | None:
        """Return the node that multiplies by a stored weight, or None."""
        for user in self.users.get(tensor, []):
            if user.op_type in PRODUCTS and tensor == user.input[1]:
                return user
            if user.op_type in _PREPARES_WEIGHTS and tensor == user.input[0]:
                return self.product_of(user.output[0])
        return None

    def stored(self, name: str) -> StoredTensor | None:
        """Return what a tensor holds, with the step between values that could be stored, or None if it is computed.

        Tensors that are stored in fewer bits are followed through the operators that make them float32.
        """
        if name in self.constants:
            return self._constant(name)
        maker = self.makers.get(name)
        if maker is None or maker.op_type not in _PREPARES_WEIGHTS or self.are_levels(name):
            return None
        if maker.op_type in ("DequantizeLinear", "Mul"):
            return self._dequantized(maker) if maker.op_type == "DequantizeLinear" else self._scaled(maker)
        source = self.stored(maker.input[0])
        if source is None or maker.op_type in ("Cast", "Identity"):
            return source
        return _moved(source, maker, self.constants)

    def is_quantization_parameter(self, name: str) -> bool:
        """Say whether a tensor is a scale or a zero point that quantization added, rather than the model's own.

        The name does not say it: a model may call its own `layer_scale`. What has one is in the graph as well.
        """
        plain = re.sub("_(scale|zero_point)$", "", name)
        if plain == name:
            return False
        return f"{plain.removesuffix('_quantized')}_quantized" in self.constants or any(
            user.op_type in _QUANTIZES and name in user.input[1:] for user in self.users.get(name, [])
        )

    def are_levels(self, name: str) -> bool:
        """Say whether a tensor is stored whole numbers that are cast to floats, and stand for weights once scaled."""
        maker = self.makers.get(name)
        source = self.constants.get(maker.input[0]) if maker is not None and maker.op_type == "Cast" else None
        return source is not None and source.dtype in _LIMITS

    def _constant(self, name: str) -> StoredTensor | None:
        """Return a stored tensor, or None for one of integers that is not a weight.

        What onnxruntime quantizes for integer products it calls `w_quantized`, `w_scale` and `w_zero_point`; the scale
        of each output channel is one for each column of a matrix.
        """
        array = self.constants[name]
        if array.dtype == np.float16:
            return half_tensor(array)
        if array.dtype.kind == "f":
            return float_tensor(array)
        scale = self.constants.get(f"{name.removesuffix('_quantized')}_scale")
        if array.dtype not in (np.int8, np.uint8) or scale is None:
            return None
        zero_point = self.constants.get(f"{name.removesuffix('_quantized')}_zero_point")
        for user in self.users.get(name, []):
            if user.op_type == "DequantizeLinear":
                return self._dequantized(user)
            if user.op_type in INTEGER_PRODUCTS:
                return int8_tensor(array, scale, zero_point, 0 if "Conv" in user.op_type else array.ndim - 1)
        return None

    def _scaled(self, node: onnx.NodeProto) -> StoredTensor | None:
        """Return the product of levels that are cast to floats and of their scale, of a shape that broadcasts."""
        scale = self.constants.get(node.input[1])
        if scale is None or not self.are_levels(node.input[0]):
            return None
        levels = self.constants[self.makers[node.input[0]].input[0]]
        return scaled_tensor(levels, scale, _LIMITS[levels.dtype])

    def _dequantized(self, node: onnx.NodeProto) -> StoredTensor | None:
        levels, scale = (self.constants.get(name) for name in node.input[:2])
        zero_point = self.constants.get(node.input[2]) if len(node.input) > 2 else None
        if levels is None or scale is None:
            return None
        if levels.dtype == np.int32:  # the bias of static quantization, whose step is that of a product
            return StoredTensor((levels * scale).astype(np.float32), scale, np.zeros(1, np.bool_))
        if levels.dtype not in (np.int8, np.uint8) or scale.ndim > 1:
            return None  # other bits, or blocks, which no exporter of ours leaves to this operator
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
        return int8_tensor(levels, scale, zero_point, axis % max(levels.ndim, 1))


def _moved(tensor: StoredTensor, node: onnx.NodeProto, constants: Mapping[str, NDArray[Any]]) -> StoredTensor | None:
    """Return a stored tensor after a `Transpose` or `Reshape`; a scale of several numbers moves along."""
    if node.op_type == "Transpose":
        order = next((list(attribute.ints) for attribute in node.attribute if attribute.name == "perm"), None)

        def move(array: NDArray[Any]) -> NDArray[Any]:
            return array.transpose(order) if array.ndim == tensor.dequantized.ndim else array

    else:
        shape = constants.get(node.input[1])
        if shape is None:
            return None
        full = tensor.dequantized.shape
        target = shape.tolist()

        def move(array: NDArray[Any]) -> NDArray[Any]:
            return np.broadcast_to(array, full).reshape(target) if array.size > 1 else array

    return StoredTensor(move(tensor.dequantized), move(tensor.step), move(tensor.saturated))


def stored_weights(graph: onnx.GraphProto) -> dict[str, StoredTensor]:
    """Return a graph's weights under the names, and in the layout, that the layers of the trained model have for them.

    The second factor of a product is taken for the weight of a linear layer, which torch has the other way round.
    Torch's exporter calls the bias of a convolution `c`, into which it folds batch normalization, `c.weight_bias`.
    Weights that were stored in fewer bits keep their name before or behind what makes them float32.
    """
    index = GraphIndex(graph)
    result = {}
    for name in [*index.constants, *index.makers]:
        stored = None if index.is_quantization_parameter(name) else index.stored(name)
        if stored is None or stored.dequantized.ndim == 0:
            continue
        plain = re.sub(r"\.weight_bias$", ".bias", name.removesuffix("_quantized"))
        result[plain] = stored.transposed() if _multiplies_rows(index, name) else stored
    return result


def _multiplies_rows(index: GraphIndex, name: str) -> bool:
    """Say whether a tensor is the second factor of a `MatMul`, which has it the other way round than torch.

    A linear layer's `Gemm` has it as torch has, whatever else multiplies by the same tensor.
    """
    users = index.users.get(name, [])
    floats = [user.output[0] for user in users if user.op_type == "DequantizeLinear"]
    multiplied = [user for each in (name, *floats) for user in index.users.get(each, []) if each in user.input[1:]]
    rows = any(user.op_type in ("MatMul", "MatMulInteger", "QLinearMatMul") for user in multiplied)
    return rows and not any(map(is_transposed, multiplied))


def is_transposed(node: onnx.NodeProto) -> bool:
    """Say whether a node is a `Gemm` by a weight as torch lays it out, with a row for each output."""
    return node.op_type == "Gemm" and any(each.name == "transB" and each.i == 1 for each in node.attribute)


def opset_of(model: onnx.ModelProto) -> int | None:
    """Return the version of the standard operators that a model asks for, or None where it is not one version."""
    versions: list[int] = [entry.version for entry in model.opset_import if entry.domain == ""]
    return versions[0] if len(versions) == 1 else None
