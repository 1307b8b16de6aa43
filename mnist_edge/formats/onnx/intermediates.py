"""The values between the layers of an ONNX file: a copy of the graph, with those tensors as further outputs.

onnxruntime's optimiser keeps what is an output, so the kernels between them are those that the file is deployed with.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from mnist_edge.formats.base import ArtefactError, Inside, LayerValues
from mnist_edge.atomic import read_bytes
from mnist_edge.formats.onnx.runner import SessionError, every_output, open_session

Array = NDArray[np.float32]

_INTEGER_PRODUCTS = {"MatMulInteger", "ConvInteger"}
_PRODUCTS = {"Gemm", "MatMul", "Conv", *_INTEGER_PRODUCTS}

_PREPARES_WEIGHTS = {"DequantizeLinear", "Transpose", "Reshape", "Cast", "Identity"}
"""What may lie between a stored weight and its product."""

_COMPLETES = {"Cast", "Mul", "Add", "BatchNormalization"}
"""What may lie between a product and the layer's output: scales, bias, normalisation."""


@dataclass(frozen=True)
class _Layer:
    """Where a layer is in the graph.

    Attributes:
        product: the node that multiplies by the weights.
        given: name of the tensor that is the layer's input before quantisation.
        result: name of the tensor that is its output before the activation.
        bias: name of the tensor that is added on the way, None where there is none.
    """

    product: onnx.NodeProto
    given: str
    result: str
    bias: str | None


class _Graph:
    """A graph with an index of who makes and who uses each tensor."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.nodes = list(graph.node)
        self.makers = {name: node for node in graph.node for name in node.output}
        self.users: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self.users.setdefault(name, []).append(node)
        self.stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self.outputs = {tensor.name for tensor in graph.output}

    def layer(self, product: onnx.NodeProto) -> _Layer:
        """Return where the layer around a product begins and ends."""
        result = product.output[0]
        bias = product.input[2] if product.op_type in ("Gemm", "Conv") and len(product.input) > 2 else None
        while result not in self.outputs and len(self.users.get(result, [])) == 1:
            (user,) = self.users[result]
            if user.op_type not in _COMPLETES:
                break
            if user.op_type == "Add":
                (bias,) = [name for name in user.input if name != result] or [None]
            result = user.output[0]
        return _Layer(product, self._before_quantisation(product.input[0]), result, bias)

    def product_of(self, tensor: str) -> onnx.NodeProto | None:
        """Return the node that multiplies by a stored weight, or None."""
        for user in self.users.get(tensor, []):
            if user.op_type in _PRODUCTS and tensor == user.input[1]:
                return user
            if user.op_type in _PREPARES_WEIGHTS and tensor == user.input[0]:
                return self.product_of(user.output[0])
        return None

    def _before_quantisation(self, name: str) -> str:
        """Return the float tensor that is quantised to the integers of this name, or the name of a float tensor.

        Values that are rounded and dequantised again are left as they are: a ReLU may be folded into the rounding.
        """
        maker = self.makers.get(name)
        quantised = maker is not None and maker.op_type in ("DynamicQuantizeLinear", "QuantizeLinear")
        return maker.input[0] if maker is not None and quantised else name


def open_layers(path: Path, names: tuple[str, ...]) -> Inside:
    """Open an ONNX file so that the layers of these names, in the order of the computation, can be seen.

    Raises:
        ArtefactError: it can't be run, or its layers can't be told.
        UserError: it can't be read.
    """
    try:
        model = onnx.ModelProto.FromString(read_bytes(path))
    except DecodeError as error:
        raise ArtefactError("it is no ONNX file") from error
    graph = _Graph(model.graph)
    layers = {name: graph.layer(product) for name, product in _products(graph, names).items()}
    image, logits = model.graph.input[0].name, model.graph.output[0].name
    wanted = {name for layer in layers.values() for name in (layer.given, layer.result, *_operands(layer))}
    further = sorted(name for name in wanted - {logits} if name in graph.makers)
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in further)
    try:
        session = open_session(model.SerializeToString())
        constants = graph.stored | every_output(session, np.zeros((1, 1, 28, 28), np.float32))
    except SessionError as error:
        raise ArtefactError(str(error)) from error

    def run(images: Array) -> tuple[dict[str, LayerValues], Array]:
        try:
            seen = {image: images, **every_output(session, images)}
        except SessionError as error:
            raise ArtefactError(str(error)) from error
        values = {name: LayerValues(seen[layer.given], seen[layer.result]) for name, layer in layers.items()}
        return values, seen[logits]

    weights = {name: _weights(layer, constants) for name, layer in layers.items()}
    return Inside(run, {name: found for name, found in weights.items() if found})


def _products(graph: _Graph, names: tuple[str, ...]) -> dict[str, onnx.NodeProto]:
    """Return the product of each layer: the one by its weight's name, or else all of them in order."""
    named = {}
    for name in names:
        stored = [tensor for tensor in graph.stored if tensor.startswith(f"{name}.weight")]
        found = [product for tensor in stored if (product := graph.product_of(tensor))]
        if found:
            named[name] = found[0]
    if len(named) == len(names):
        return named
    products = [node for node in graph.nodes if node.op_type in _PRODUCTS]
    if len(products) != len(names):
        raise ArtefactError(
            f"its layers cannot be told: no weights by the names of {', '.join(names)}, "
            f"and {len(products)} products for {len(names)} layers"
        )
    return dict(zip(names, products, strict=True))


def _operands(layer: _Layer) -> list[str]:
    product = layer.product
    zero = list(product.input[3:4]) if product.op_type in _INTEGER_PRODUCTS else []
    return [product.input[1], *zero, *([layer.bias] if layer.bias else [])]


def _weights(layer: _Layer, constants: dict[str, NDArray[np.generic]]) -> tuple[Array, Array] | None:
    """Return a layer's weight as torch lays it out, dequantised, and its bias; None where it can't be read."""
    product = layer.product
    weight = constants.get(product.input[1])
    if weight is None:
        return None
    if product.op_type in _INTEGER_PRODUCTS:
        scale = constants.get(product.input[1].removesuffix("_quantized") + "_scale")
        if scale is None:
            return None
        zero = constants.get(product.input[3]) if len(product.input) > 3 else None
        weight = _dequantised(weight, scale, zero, axis=0 if product.op_type == "ConvInteger" else 1)
    if product.op_type in ("MatMul", "MatMulInteger") or (product.op_type == "Gemm" and not _transposed(product)):
        weight = weight.T
    bias = constants.get(layer.bias) if layer.bias else None
    flat = np.zeros(len(weight)) if bias is None else bias.reshape(-1)
    return np.ascontiguousarray(weight, np.float32), np.ascontiguousarray(flat, np.float32)


def _dequantised(
    weight: NDArray[np.generic], scale: NDArray[np.generic], zero: NDArray[np.generic] | None, axis: int
) -> Array:
    """Return (weight - zero) · scale, where scale and zero are single numbers or one for each index along `axis`."""
    shape = [1] * weight.ndim
    shape[axis] = -1
    shifted = weight.astype(np.float32) - (0 if zero is None else zero.astype(np.float32).reshape(shape))
    result: Array = shifted * scale.astype(np.float32).reshape(shape)
    return result


def _transposed(gemm: onnx.NodeProto) -> bool:
    return any(attribute.name == "transB" and attribute.i == 1 for attribute in gemm.attribute)
