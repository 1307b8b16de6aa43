"""Trained model → a folder with OpenVINO's intermediate representation: a graph as XML, and its weights."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mnist_edge.artifact.bundle import Bundle, metadata_of
from mnist_edge.artifact.contract import Contract
from mnist_edge.artifact.fields import one_line
from mnist_edge.errors import UserError
from mnist_edge.formats.build import ExportRequest
from mnist_edge.formats.logs import silent
from mnist_edge.formats.openvino.library import load_openvino
from mnist_edge.formats.openvino.representation import GRAPH, WEIGHTS
from mnist_edge.formats.openvino.runner import compiled, predictor
from mnist_edge.formats.pooling import refuse_cut_windows
from mnist_edge.formats.runner import predict_in_batches
from mnist_edge.formats.scheme import Precision


def export(model: nn.Module, requests: Sequence[ExportRequest]) -> list[Bundle]:
    """Return a folder for each request; see `mnist_edge.formats.build.Exporter`."""
    refuse_cut_windows(model, requests[0].contract.task.input.shape, "openvino", unpadded=False)
    converted = _convert(model, requests[0].contract)
    return [_export_one(converted, request) for request in requests]


def _export_one(converted: Any, request: ExportRequest) -> Bundle:  # noqa: ANN401
    half = request.scheme.precision is Precision.FP16
    stored = _with_half_weights(converted, request.contract) if half else converted
    with tempfile.TemporaryDirectory(prefix="mnist-edge-") as name:
        path = Path(name) / GRAPH
        load_openvino().save_model(stored, path, compress_to_fp16=False)
        files = {file: (Path(name) / file).read_bytes() for file in (GRAPH, WEIGHTS)}
    vectors = request.test_vectors
    if half:
        predict = predictor(*compiled(files[GRAPH], files[WEIGHTS]))
        vectors = vectors.with_expected(predict_in_batches(predict, vectors.inputs, 1))
    return Bundle(files, folder=True).with_sidecar(metadata_of(request.contract, vectors))


def _convert(model: nn.Module, contract: Contract) -> Any:  # noqa: ANN401
    """Return a network as OpenVINO's model, for any number of images; raises `UserError` where that can't be done."""
    openvino = load_openvino()
    # A batch of 2, since torch takes a dimension of 1 for one that is always 1.
    sample = torch.zeros(2, *contract.task.input.shape)
    batch = torch.export.Dim(str(contract.input_shape[0]))
    with silent():  # it logs a traceback for each operator that this torch no longer takes apart
        from openvino._offline_transformations import apply_moc_transformations
        from openvino.frontend import FrontEndManager, OpConversionFailure
        from openvino.frontend.pytorch.fx_decoder import TorchFXPythonDecoder

        program = torch.export.export(model, (sample,), dynamic_shapes=({0: batch},))
        frontend = FrontEndManager().load_by_framework("pytorch")
        decoder = TorchFXPythonDecoder.from_exported_program(program)  # the front end only borrows it
        try:
            converted = frontend.convert(frontend.load(decoder))
            # As `openvino.convert_model` does: a batch normalization that stayed would be rounded to fp16 by itself.
            apply_moc_transformations(converted, cf=True, smart_reshape=False)
            converted.reshape(openvino.PartialShape([-1, *contract.task.input.shape]))
        except (RuntimeError, OpConversionFailure) as error:
            raise UserError(
                f"OpenVINO cannot hold this network ({_reason(error)}): export it to another format"
            ) from error
    _name(converted, contract)
    return converted


def _with_half_weights(converted: Any, contract: Contract) -> Any:  # noqa: ANN401
    """Return a copy of a model whose weights of more than one side are of 16 bits, made floats where they are used.

    `compress_to_fp16` rounds biases too, which are few: that moves logits as much again.
    """
    load_openvino()
    from openvino import opset13

    result = converted.clone()
    for constant in result.get_ordered_ops():
        if constant.get_type_name() != "Constant" or constant.get_element_type().get_type_name() != "f32":
            continue
        if sum(side > 1 for side in constant.shape) > 1:
            floats = opset13.convert(opset13.constant(constant.data.astype(np.float16)), "f32")
            for user in constant.output(0).get_target_inputs():
                user.replace_source_output(floats.output(0))
    _name(result, contract)
    return result


def _reason(error: Exception) -> str:
    """Return what OpenVINO says, on one line; of operators that it lacks the summary alone, which stands at the end."""
    _, _, summary = str(error).rpartition("Summary:\n-- ")
    return one_line(RuntimeError(summary))


def _name(converted: Any, contract: Contract) -> None:  # noqa: ANN401
    """Name operators by their place: OpenVINO numbers them by how many it has made in this process."""
    for number, operator in enumerate(converted.get_ordered_ops()):
        operator.set_friendly_name(f"{operator.get_type_name()}_{number}")
        for output in operator.outputs():
            output.get_tensor().set_names(set())
    converted.set_friendly_name(contract.architecture)
    converted.input(0).get_tensor().set_names({contract.task.input.name})
    converted.output(0).get_tensor().set_names({contract.output})
