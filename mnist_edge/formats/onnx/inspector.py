"""What the `onnx` package reads in an ONNX file: structure, stored weights, intermediate values."""

import math
from collections import Counter
from collections.abc import Mapping

import numpy as np
import onnx
import onnx.checker
from google.protobuf.message import DecodeError

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.contract import Contract
from mnist_edge.artifact.fields import one_line
from mnist_edge.artifact.test_vectors import TestVectors
from mnist_edge.errors import ArtifactError
from mnist_edge.formats.build import Inspection, Intermediates, ModelSummary
from mnist_edge.formats.onnx import intermediates
from mnist_edge.formats.onnx.graph import GraphIndex, opset_of, stored_weights
from mnist_edge.formats.onnx.quantization import precision_of, saturating_weights
from mnist_edge.formats.onnx.reference import reference_logits
from mnist_edge.formats.runner import Runner
from mnist_edge.formats.scheme import bound_at

REFERENCE_ATOL = 1e-5
"""By how much the reference implementation's own arithmetic may differ between machines, for usual logits."""


def inspect(bundle: Bundle, runner: Runner) -> Inspection:
    """Return what can be read in an ONNX file; see `mnist_edge.formats.build.Inspector`."""
    model = _parse(bundle.data)
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise ArtifactError(one_line(error)) from error
    try:
        weights = stored_weights(model.graph)
    except (ValueError, IndexError, RecursionError) as error:  # shapes that do not fit, or a chain without end
        raise ArtifactError(f"its weights cannot be read ({one_line(error)})") from error
    return Inspection(
        summary=_summary(model),
        weights=weights,
        problems=(*_structure_problems(model, runner.contract), *_reference_problems(model, runner.test_vectors)),
    )


def program(bundle: Bundle) -> Mapping[str, bytes]:
    """Return an ONNX file without its metadata; see `mnist_edge.formats.build.Inspector`."""
    model = _parse(bundle.data)
    del model.metadata_props[:]
    return {"model": model.SerializeToString(deterministic=True)}


def open_intermediates(bundle: Bundle, names: tuple[str, ...]) -> Intermediates:
    """Open an ONNX file so that its layers can be seen; see `mnist_edge.formats.build.Inspector`."""
    return intermediates.open_intermediates(_parse(bundle.data), names)


def _parse(data: bytes) -> onnx.ModelProto:
    try:
        model: onnx.ModelProto = onnx.ModelProto.FromString(data)
    except DecodeError as error:
        raise ArtifactError("it is not an ONNX file") from error
    return model


def _structure_problems(model: onnx.ModelProto, contract: Contract) -> list[str]:
    problems = []
    opset, asked = opset_of(model), contract.options.get("opset")
    if opset != asked:
        problems.append(f"the graph is of opset {opset}, its contract says {asked}")
    precision = precision_of(model.graph)
    if precision != contract.precision:
        problems.append(f"the graph's weights are {precision}, its contract says {contract.precision}")
    return problems + saturating_weights(model.graph)


def _reference_problems(model: onnx.ModelProto, test_vectors: TestVectors) -> list[str]:
    """Return a line where the file's operators do not give what its test vectors expect of them."""
    try:
        logits = reference_logits(model, test_vectors.inputs)
    except (RuntimeError, ValueError, IndexError, KeyError, TypeError) as error:  # what a broken graph makes it raise
        return [f"ONNX's reference implementation cannot run it ({one_line(error)})"]
    if logits.shape != test_vectors.expected_logits.shape:
        return [f"its operators give {list(logits.shape)} logits for {len(test_vectors.labels)} test vectors"]
    off = float(np.abs(logits.astype(np.float64) - test_vectors.expected_logits).max())
    largest = float(np.abs(test_vectors.trained_logits).max())  # which `verify` compares with the checkpoint's
    if off <= bound_at(REFERENCE_ATOL, largest):
        return []
    return [f"its operators give logits off by {off:.3g} from those that its test vectors expect of them"]


def _summary(model: onnx.ModelProto) -> ModelSummary:
    index = GraphIndex(model.graph)
    weights = [  # what is learned: not shapes, nor what quantization adds
        tensor
        for tensor in model.graph.initializer
        if tensor.data_type != onnx.TensorProto.INT64 and not index.is_quantization_parameter(tensor.name)
    ]
    return ModelSummary(
        operators=dict(Counter(node.op_type for node in model.graph.node)),
        parameters=sum(math.prod(tensor.dims) for tensor in weights),
        tensors={
            tensor.name: (onnx.TensorProto.DataType.Name(tensor.data_type), tuple(tensor.dims)) for tensor in weights
        },
    )
