"""Trained model → ONNX files, by torch's exporter."""

from collections.abc import Sequence

import numpy as np
import onnx
import onnx.numpy_helper
import torch
from torch import nn

from mnist_edge.artifact.bundle import Bundle, metadata_of
from mnist_edge.artifact.contract import Contract
from mnist_edge.artifact.test_vectors import TestVectors
from mnist_edge.errors import UserError
from mnist_edge.formats.build import ExportRequest
from mnist_edge.formats.logs import quiet
from mnist_edge.formats.onnx.graph import opset_of
from mnist_edge.formats.onnx.quantization import quantize
from mnist_edge.formats.onnx.reference import reference_logits
from mnist_edge.formats.pooling import refuse_divisors


def export(model: nn.Module, requests: Sequence[ExportRequest]) -> list[Bundle]:
    """Return an ONNX file for each request; see `mnist_edge.formats.build.Exporter`."""
    refuse_divisors(model, "onnx")
    floating: dict[int, onnx.ModelProto] = {}
    for contract in (request.contract for request in requests):
        if contract.options["opset"] not in floating:
            floating[contract.options["opset"]] = _to_onnx(model, contract)
    return [_export_one(floating[request.contract.options["opset"]], request) for request in requests]


def _export_one(floating: onnx.ModelProto, request: ExportRequest) -> Bundle:
    quantized = quantize(floating, request.scheme, request.calibration)
    vectors = request.test_vectors
    if request.scheme.quantized:
        vectors = vectors.with_expected(reference_logits(quantized, vectors.inputs))
    return Bundle.of_file(_embed_metadata(quantized, request.contract, vectors))


def _embed_metadata(model: onnx.ModelProto, contract: Contract, test_vectors: TestVectors) -> bytes:
    for key, value in metadata_of(contract, test_vectors).items():
        model.metadata_props.add(key=key, value=value)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _to_onnx(model: nn.Module, contract: Contract) -> onnx.ModelProto:
    opset = contract.options["opset"]
    # A batch of 2, since torch takes a dimension of 1 for one that is always 1.
    sample = torch.zeros(2, *contract.task.input.shape)
    with quiet("torch.onnx", "onnxscript"):
        program = torch.onnx.export(
            model,
            (sample,),
            input_names=[contract.task.input.name],
            output_names=[contract.output],
            dynamic_shapes=({0: torch.export.Dim(str(contract.input_shape[0]))},),
            opset_version=opset,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None, "without a file name the dynamo exporter returns the program"
    exported = program.model_proto
    given = opset_of(exported)
    if given != opset:
        raise UserError(f"torch cannot export this model to ONNX opset {opset}: it gave {given}; use that one")
    _strip(exported)
    _name_transposed(exported.graph, model)
    return exported


def _name_transposed(graph: onnx.GraphProto, model: nn.Module) -> None:
    """Give weights that torch's exporter transposes their names again, in place.

    A linear layer that is given more than one row for each image becomes a `MatMul` with a constant `val_1`.
    """
    state, names = model.state_dict(), {tensor.name for tensor in graph.initializer}
    unnamed = {
        tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer if tensor.name not in state
    }
    for name, weight in state.items():
        if name in names or weight.ndim != 2:
            continue
        transposed = weight.detach().numpy().T
        found = next((other for other, array in unnamed.items() if np.array_equal(array, transposed)), None)
        if found is not None:
            del unnamed[found]
            _rename(graph, found, name)


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    for tensor in graph.initializer:
        tensor.name = new if tensor.name == old else tensor.name
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]


def _strip(model: onnx.ModelProto) -> None:
    """Remove stack traces and paths of the building machine, and value infos that `quantize_dynamic` trips over."""
    del model.metadata_props[:]
    del model.graph.value_info[:]
    parts = [model.graph, *model.graph.node, *model.graph.input, *model.graph.output, *model.graph.initializer]
    for part in parts:
        del part.metadata_props[:]
        part.doc_string = ""
