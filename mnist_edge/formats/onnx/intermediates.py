"""The values between the layers of an ONNX file: a copy of the graph, with those tensors as further outputs.

onnxruntime's optimizer keeps what is an output, so the kernels between them are those that the file is deployed with.
"""

from dataclasses import dataclass

import numpy as np
import onnx

from mnist_edge.errors import ArtifactError
from mnist_edge.formats.build import Intermediates, LayerIO
from mnist_edge.formats.onnx.graph import PRODUCTS, GraphIndex, is_transposed
from mnist_edge.formats.onnx.runner import open_session, run_all_outputs
from mnist_edge.types import AnyArray, Images, Logits

_COMPLETES = {"Cast", "Mul", "Add", "BatchNormalization"}
"""What may lie between a product and the layer's output: scales, bias, normalization."""


@dataclass(frozen=True)
class _Layer:
    """Where a layer is in the graph.

    Attributes:
        product: the node that multiplies by the weights.
        input: name of the tensor that is the layer's input before quantization.
        output: name of the tensor that is its output before the activation.
        bias: name of the tensor that is added on the way, None where there is none.
    """

    product: onnx.NodeProto
    input: str
    output: str
    bias: str | None


def open_intermediates(model: onnx.ModelProto, names: tuple[str, ...]) -> Intermediates:
    """Open an ONNX model so that the layers of these names, in the order of the computation, can be seen.

    Raises:
        ArtifactError: it can't be run, or its layers can't be told apart.
    """
    index = GraphIndex(model.graph)
    layers = {name: _layer(index, product) for name, product in _products(index, names).items()}
    image, logits = model.graph.input[0].name, model.graph.output[0].name
    wanted = {name for layer in layers.values() for name in (layer.input, layer.output)}
    further = sorted(name for name in wanted - {logits} if name in index.makers)
    probed = onnx.ModelProto()
    probed.CopyFrom(model)
    probed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in further)
    session = open_session(probed.SerializeToString())

    def run(images: Images) -> tuple[dict[str, LayerIO], Logits]:
        seen = {image: images, **run_all_outputs(session, images)}
        return {name: LayerIO(seen[layer.input], seen[layer.output]) for name, layer in layers.items()}, seen[logits]

    weights = {name: _weights(index, layer) for name, layer in layers.items()}
    return Intermediates(run, {name: found for name, found in weights.items() if found})


def _products(index: GraphIndex, names: tuple[str, ...]) -> dict[str, onnx.NodeProto]:
    """Return the product of each layer: the one by its weight's name, or else all of them in order."""
    named = {}
    for name in names:
        stored = [tensor for tensor in index.constants if tensor.startswith(f"{name}.weight")]
        found = [product for tensor in stored if (product := index.product_of(tensor))]
        if found:
            named[name] = found[0]
    if len(named) == len(names):
        return named
    products = [node for node in index.nodes if node.op_type in PRODUCTS]
    if len(products) != len(names):
        raise ArtifactError(
            f"its layers cannot be told apart: no weights by the names of {', '.join(names)}, "
            f"and {len(products)} products for {len(names)} layers"
        )
    return dict(zip(names, products, strict=True))


def _layer(index: GraphIndex, product: onnx.NodeProto) -> _Layer:
    """Return where the layer around a product begins and ends."""
    output = product.output[0]
    bias = product.input[2] if product.op_type in ("Gemm", "Conv") and len(product.input) > 2 else None
    while output not in index.outputs and len(index.users.get(output, [])) == 1:
        (user,) = index.users[output]
        if user.op_type not in _COMPLETES:
            break
        if user.op_type == "Add":
            (bias,) = [name for name in user.input if name != output] or [None]
        output = user.output[0]
    return _Layer(product, _before_quantization(index, product.input[0]), output, bias)


def _before_quantization(index: GraphIndex, name: str) -> str:
    """Return the float tensor that is quantized to the integers of this name, or the name of a float tensor.

    Values that are rounded and dequantized again are left as they are: a ReLU may be folded into the rounding.
    """
    maker = index.makers.get(name)
    quantized = maker is not None and maker.op_type in ("DynamicQuantizeLinear", "QuantizeLinear")
    return maker.input[0] if maker is not None and quantized else name


def _weights(index: GraphIndex, layer: _Layer) -> tuple[AnyArray, AnyArray] | None:
    """Return a layer's weight as torch lays it out, dequantized, and its bias; None where it can't be read."""
    product = layer.product
    stored = index.stored(product.input[1])
    if stored is None:
        return None
    weight = stored.dequantized
    if product.op_type.startswith("MatMul") or (product.op_type == "Gemm" and not is_transposed(product)):
        weight = weight.T
    bias = index.stored(layer.bias) if layer.bias else None
    flat = np.zeros(len(weight)) if bias is None else bias.dequantized.reshape(-1)
    return np.ascontiguousarray(weight, np.float32), np.ascontiguousarray(flat, np.float32)
