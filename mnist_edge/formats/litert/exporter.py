"""Trained model → `.tflite` files, by litert-torch, and by ai-edge-quantizer for int8."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mnist_edge.artifact.bundle import Bundle, metadata_of
from mnist_edge.artifact.contract import Contract
from mnist_edge.artifact.fields import one_line
from mnist_edge.descriptors import silent_descriptors
from mnist_edge.errors import UserError
from mnist_edge.formats.build import ExportRequest
from mnist_edge.formats.litert.flatbuffer import read_model, set_metadata, write_model
from mnist_edge.formats.litert.runner import Interpreter
from mnist_edge.formats.logs import silent


def export(model: nn.Module, requests: Sequence[ExportRequest]) -> list[Bundle]:
    """Return a `.tflite` file for each request; see `mnist_edge.formats.build.Exporter`."""
    floating = _convert(model, requests[0].contract)
    return [_export_one(floating, request) for request in requests]


def _export_one(floating: bytes, request: ExportRequest) -> Bundle:
    data, vectors = floating, request.test_vectors
    if request.scheme.quantized:
        data = _quantized(floating)
        vectors = vectors.with_expected(Interpreter(data, request.contract).predict(vectors.inputs))
    found = read_model(data)
    set_metadata(found, metadata_of(request.contract, vectors))
    return Bundle.of_file(write_model(found))


def _convert(model: nn.Module, contract: Contract) -> bytes:
    """Return a network as a float32 file; raises `UserError` where that can't be done."""
    with tempfile.TemporaryDirectory(prefix="mnist-edge-") as name, _quiet():
        import litert_torch

        path = Path(name) / "model.tflite"
        try:
            litert_torch.convert(model, (torch.zeros(1, *contract.task.input.shape),)).export(str(path))
        except (RuntimeError, ValueError, NotImplementedError, TypeError) as error:
            raise UserError(f"litert-torch cannot convert this network ({one_line(error)})") from error
        found = read_model(path.read_bytes())
    _name(found, contract)
    return write_model(found)


def _name(model: Any, contract: Contract) -> None:  # noqa: ANN401
    """Name input and output as the contract does, and tensors by their place: their names list classes and modules."""
    (graph,), (signature,) = model.subgraphs, model.signatureDefs
    for index, tensor in enumerate(graph.tensors):
        tensor.name = str(index)
    graph.tensors[graph.inputs[0]].name = signature.inputs[0].name = contract.task.input.name
    graph.tensors[graph.outputs[0]].name = signature.outputs[0].name = contract.output


def _quantized(floating: bytes) -> bytes:
    """Return a file with int8 weights, a step for each output channel; activations are quantized as they come."""
    with tempfile.TemporaryDirectory(prefix="mnist-edge-") as name, _quiet():
        from ai_edge_quantizer import quantizer, recipe

        path = Path(name) / "model.tflite"
        path.write_bytes(floating)
        result = quantizer.Quantizer(str(path), recipe.dynamic_wi8_afp32()).quantize()
        return bytes(result.quantized_model)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what the converters print, log and warn of, some of it in C++."""
    with silent_descriptors(1, 2), silent():
        yield
