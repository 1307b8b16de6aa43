"""Ways to store the weights of an ONNX graph in fewer bits."""

import tempfile
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from mnist_edge.errors import UserError
from mnist_edge.formats.logs import quiet
from mnist_edge.formats.onnx.dynamic import DYNAMIC, quantized_dynamically, separate_weights
from mnist_edge.formats.onnx.graph import INTEGER_PRODUCTS, PRODUCTS, GraphIndex
from mnist_edge.formats.onnx.shapes import OPERATORS
from mnist_edge.formats.scheme import Precision, Scheme
from mnist_edge.types import AnyArray, Images

MAX_SAFE_INT8 = 64
"""Greatest |weight| in signed 8 bits that can't saturate.

x86 CPUs without VNNI add two products of an unsigned and a signed byte in 16 bits (`vpmaddubsw`, Intel SDM vol. 2):
2 · 255 · 64 = 32,640 fits below 32,767; 2 · 255 · 65 does not.
"""

_STATIC = "static-qdq-channel"
"""onnxruntime's static quantization: `QuantizeLinear` and `DequantizeLinear` around each operator, as NPUs want it."""

CALIBRATION_IMAGES = 500
"""Of how many of the calibration images the least and greatest values fix the steps of static quantization."""

LEAST_BLOCK, MOST_BLOCK = 12, 32
"""How many weights have one step where they are stored in 4 bits. Of 8, the step takes as much as their bits: no less
than int8 does.
"""

MOST_FLOATS = 0.02
"""Greatest share of the numbers of an int4 file that are still float32 and no row: a seventh of its bytes."""

_ADDED = ("quantized", "scale", "zero_point", "levels", "blocks", "shape")
"""What is added to the name of a tensor to name what is stored of it in integers, here and by onnxruntime."""

_WEIGHT_ONLY_INT8 = {"weight-only-s8": False, "weight-only-s8-channel": True}
"""Weights in 8 bits that are floats again before they are used: whether each output channel has a scale."""


def quantize(model: onnx.ModelProto, scheme: Scheme, calibration: Images) -> onnx.ModelProto:
    """Return a copy of a float32 model as a scheme of the ONNX format stores it; an unquantized one as it is.

    Args:
        model: of torch's exporter.
        scheme: of the format.
        calibration: images by which steps are fixed, float32 `[N, channels, height, width]`.

    Raises:
        UserError: a tensor has a name that quantization needs, what should be in 4 bits is not, or onnxruntime gave
            other weights to an operator than it has.
    """
    _check_names(model.graph, scheme)
    if scheme.name in DYNAMIC:
        return quantized_dynamically(model, scheme.name)
    result = onnx.ModelProto()
    result.CopyFrom(model)
    if scheme.name == _STATIC:
        return _quantized_statically(result, calibration[:CALIBRATION_IMAGES])
    if scheme.name in _WEIGHT_ONLY_INT8:
        _store_as_int8(result, per_channel=_WEIGHT_ONLY_INT8[scheme.name])
    elif scheme.precision is Precision.INT4:
        _store_as_int4(result)
        _store_as_int8(result, per_channel=True)
        _check_all_stored(result)
    elif scheme.quantized:
        _store_as_half(result)
    return result


def _check_names(graph: onnx.GraphProto, scheme: Scheme) -> None:
    """Refuse a network that has a parameter of the name that a scheme gives to what it stores of another tensor.

    Raises:
        UserError: it has one; two tensors of one name are wrong answers, or a file that can't be loaded.
    """
    names = {tensor.name for tensor in graph.initializer}
    multiplied = {name for node in graph.node if node.op_type in PRODUCTS for name in node.input}
    keys = ("half",) if scheme.precision is Precision.FP16 else _ADDED
    added = {f"{name}_{key}": name for name in names | multiplied for key in keys}
    taken = min(names & added.keys(), default=None)
    if scheme.quantized and taken is not None:
        raise UserError(
            f"onnx has no {scheme.precision} for this network: quantization stores what belongs to {added[taken]} as "
            f"{taken}, which is the name of a parameter: rename that, or export the network as fp32"
        )


class _Images(CalibrationDataReader):  # type: ignore[misc] # it has no annotations
    """Images, one at a time, as onnxruntime asks for them."""

    def __init__(self, name: str, images: Images) -> None:
        self._batches = iter([{name: images[index : index + 1]} for index in range(len(images))])

    def get_next(self) -> dict[str, Images] | None:
        """Return the next image as the input of that name, or None after the last."""
        return next(self._batches, None)


def _quantized_statically(model: onnx.ModelProto, calibration: Images) -> onnx.ModelProto:
    """Return a model with signed weights, a step for each output channel, and unsigned bytes between operators.

    Weights have 7 bits: onnxruntime computes the operators between the pairs in integers, where weights above
    `MAX_SAFE_INT8` saturate on some processors.
    """
    separate_weights(model.graph)
    with tempfile.TemporaryDirectory() as folder, quiet("root"):
        path = Path(folder) / "int8.onnx"
        quantize_static(
            model,
            path,
            _Images(model.graph.input[0].name, calibration),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            nodes_to_exclude=_normalizations_of_planes(model.graph),
        )
        quantized = onnx.load(path)
    for tensor in quantized.graph.initializer:
        tensor.ClearField("data_location")  # that says that it is in the file, as all are of which nothing is said
    return quantized


def _normalizations_of_planes(graph: onnx.GraphProto) -> list[str]:
    """Return the names of the layer normalizations over several sides, whose scale onnxruntime takes for a row."""
    sides = {tensor.name: len(tensor.dims) for tensor in graph.initializer}
    return [node.name for node in graph.node if node.op_type == "LayerNormalization" and sides.get(node.input[1]) != 1]


def _store_as_half(model: onnx.ModelProto) -> None:
    """Store each weight matrix as float16, with a `Cast` to float32 before its use."""
    for tensor, _ in _weights(model):
        half = onnx.numpy_helper.to_array(tensor).astype(np.float16)
        _store(model, tensor, {"half": half}, [_to_float(f"{tensor.name}_half", tensor.name)])


def _store_as_int8(model: onnx.ModelProto, *, per_channel: bool) -> None:
    """Store each weight matrix as int8, symmetric about 0, and make it floats before its use."""
    for tensor, axis in _weights(model):
        weights = onnx.numpy_helper.to_array(tensor).astype(np.float64)
        others = tuple(side for side in range(weights.ndim) if side != axis) if per_channel else None
        scale = np.maximum(np.abs(weights).max(axis=others, keepdims=True) / 127, 1e-30).astype(np.float32)
        levels = np.rint(weights / scale).clip(-127, 127).astype(np.int8)
        _store(model, tensor, {"quantized": levels, "scale": scale}, _scaled(tensor.name, tensor.name))


def _store_as_int4(model: onnx.ModelProto) -> None:
    """Store each matrix that is multiplied by as signed 4 bits, a step for each block of an output's weights.

    What can't be cut into blocks of `LEAST_BLOCK` to `MOST_BLOCK` weights is left as it is.
    """
    matrices = [(tensor, 1 - axis) for tensor, axis in _weights(model) if len(tensor.dims) == 2]  # not convolutions'
    for tensor, axis in matrices:
        name, weights = tensor.name, onnx.numpy_helper.to_array(tensor).astype(np.float64)
        block = max(size for size in range(1, MOST_BLOCK + 1) if weights.shape[axis] % size == 0)
        if block < LEAST_BLOCK:
            continue
        sides = list(weights.shape)
        sides[axis : axis + 1] = [-1, block]
        blocks = weights.reshape(sides)
        scale = _block_scales(blocks, axis + 1)
        levels = np.rint(blocks / scale).clip(-8, 7).astype(ml_dtypes.int4)
        stored = {"quantized": levels, "scale": scale, "shape": np.array(weights.shape)}
        reshape = onnx.helper.make_node("Reshape", [f"{name}_blocks", f"{name}_shape"], [name], f"{name}_reshape")
        _store(model, tensor, stored, [*_scaled(name, f"{name}_blocks"), reshape])


def _store(
    model: onnx.ModelProto, tensor: onnx.TensorProto, stored: Mapping[str, AnyArray], nodes: Sequence[onnx.NodeProto]
) -> None:
    """Put arrays, `<name>_<key>`, in the place of a tensor, and before all others the nodes that make it of them.

    A `DequantizeLinear` would do with fewer nodes, but onnxruntime computes it again at each call, which takes longer
    than the network; of other operators it computes what depends on constants alone when it loads the file.
    """
    model.graph.initializer.remove(tensor)
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(array, f"{tensor.name}_{key}") for key, array in stored.items()
    )
    for node in reversed(nodes):
        model.graph.node.insert(0, node)


def _scaled(name: str, output: str) -> list[onnx.NodeProto]:
    """Return nodes that multiply what is stored of a tensor by its scale."""
    levels = f"{name}_levels"
    product = onnx.helper.make_node("Mul", [levels, f"{name}_scale"], [output], f"{name}_mul")
    return [_to_float(f"{name}_quantized", levels), product]


def _to_float(name: str, output: str) -> onnx.NodeProto:
    return onnx.helper.make_node("Cast", [name], [output], f"{output}_cast", to=onnx.TensorProto.FLOAT)


def _block_scales(blocks: AnyArray, axis: int) -> AnyArray:
    """Return the step of each block of weights, float32, of their shape but with 1 along the axis of the block.

    Of a few that cut off less than a step, it is the one whose rounded weights are nearest in the mean square.
    """
    least, greatest = blocks.min(axis=axis, keepdims=True), blocks.max(axis=axis, keepdims=True)
    widest = np.maximum(np.maximum(-least / 8, greatest / 7), 1e-30)
    best: AnyArray = widest.astype(np.float32)
    error = np.full(best.shape, np.inf)
    for factor in np.linspace(1, 0.9, 6):
        scale = (widest * factor).astype(np.float32)
        found = ((np.rint(blocks / scale).clip(-8, 7) * scale - blocks) ** 2).sum(axis=axis, keepdims=True)
        best, error = np.where(found < error, scale, best), np.minimum(found, error)
    return best


def _check_all_stored(model: onnx.ModelProto) -> None:
    """Refuse a network with many weights that are still float32: a file that says int4 and is as large as before.

    Raises:
        UserError: it has them, and the message says which operator takes most; or none of its weights is in 4 bits.
    """
    if any(node.op_type not in OPERATORS for node in model.graph.node):
        return  # it is refused for that, as in any precision
    if all(tensor.data_type != onnx.TensorProto.INT4 for tensor in model.graph.initializer):
        raise UserError(
            f"onnx has no int4 for this network: no matrix can be cut into blocks of {LEAST_BLOCK} to {MOST_BLOCK} "
            "weights: export it as int8"
        )
    index = GraphIndex(model.graph)
    sizes = {tensor.name: prod(tensor.dims) for tensor in model.graph.initializer}
    floats = [
        tensor.name
        for tensor in model.graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT
        and len(tensor.dims) > 1
        and not index.is_quantization_parameter(tensor.name)
    ]
    if sum(sizes[name] for name in floats) > MOST_FLOATS * sum(sizes.values()):
        largest = max(floats, key=lambda name: sizes[name])
        users = {node.op_type for node in model.graph.node if largest in node.input}
        raise UserError(f"onnx has no int4 for {' and '.join(sorted(users))}, which takes {largest}: export it as int8")


def _weights(model: onnx.ModelProto) -> list[tuple[onnx.TensorProto, int]]:
    """Return the float32 tensors that are multiplied by, each with the axis of its output channels."""
    axes = {}
    for node in model.graph.node:
        if node.op_type in ("Gemm", "MatMul", "Conv"):
            transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
            axes[node.input[1]] = 0 if transposed or node.op_type == "Conv" else 1
    return [(tensor, axes[tensor.name]) for tensor in model.graph.initializer if tensor.name in axes]


def saturating_weights(graph: onnx.GraphProto) -> list[str]:
    """Return a line for each weight that gives wrong sums on an x86 CPU without VNNI; see `MAX_SAFE_INT8`."""
    used = {name for node in graph.node if node.op_type in INTEGER_PRODUCTS for name in node.input}
    problems = []
    for tensor in graph.initializer:
        if tensor.name in used and tensor.data_type == onnx.TensorProto.INT8:
            largest = int(np.abs(onnx.numpy_helper.to_array(tensor).astype(np.int16)).max(initial=0))
            if largest > MAX_SAFE_INT8:
                problems.append(
                    f"{tensor.name} holds signed weights up to {largest}, which saturate on x86 CPUs without VNNI: "
                    f"expected unsigned ones, or at most {MAX_SAFE_INT8}"
                )
    return problems


def precision_of(graph: onnx.GraphProto) -> Precision:
    """Return the precision in which a graph stores its weight matrices, the lowest where it has several."""
    types = {tensor.data_type for tensor in graph.initializer if len(tensor.dims) > 1}
    if onnx.TensorProto.INT4 in types:
        return Precision.INT4
    integers = any(node.op_type in INTEGER_PRODUCTS for node in graph.node)
    if integers or types & {onnx.TensorProto.INT8, onnx.TensorProto.UINT8}:
        return Precision.INT8
    return Precision.FP16 if onnx.TensorProto.FLOAT16 in types else Precision.FP32
