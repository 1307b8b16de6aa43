"""ONNX, run by onnxruntime."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import onnx.checker
import onnx.numpy_helper
import torch
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import nn

from mnist_edge.errors import UserError
from mnist_edge.export.format import ArtefactError, Format, Loaded
from mnist_edge.export.onnx_layers import open_layers
from mnist_edge.files import read_bytes
from mnist_edge.runtime.contract import CONTRACT_KEY, Contract, ContractError
from mnist_edge.runtime.seal import SEAL_KEY, UNSEALED
from mnist_edge.runtime.session import SessionError, contradictions, open_session, predictor, session_contract

SAFE_INT8 = 64
"""Greatest |weight| in signed 8 bits that can't saturate.

x86 CPUs without VNNI add two products of an unsigned and a signed byte in 16 bits (`vpmaddubsw`, Intel SDM vol. 2):
2 · 255 · 64 = 32,640 fits below 32,767; 2 · 255 · 65 does not.
"""

_INTEGER_PRODUCTS = {"MatMulInteger", "ConvInteger", "QLinearMatMul", "QLinearConv"}


def _export(model: nn.Module, contract: Contract) -> bytes:
    """Return the model as an ONNX file that carries the contract and a place for the seal."""
    graph = _to_onnx(model, contract)
    if contract.precision == "int8":
        graph = _quantize(graph)
    for key, value in ((CONTRACT_KEY, contract.to_json()), (SEAL_KEY, UNSEALED)):
        graph.metadata_props.add(key=key, value=value)
    data: bytes = graph.SerializeToString(deterministic=True)
    return data


def _to_onnx(model: nn.Module, contract: Contract) -> onnx.ModelProto:
    sample = torch.zeros(2, *(side for side in contract.input_shape if isinstance(side, int)))
    with _quiet("torch.onnx", "onnxscript"):
        program = torch.onnx.export(
            model,
            (sample,),
            input_names=[contract.input_name],
            output_names=[contract.output_name],
            dynamic_shapes=({0: torch.export.Dim(str(contract.input_shape[0]))},),
            opset_version=contract.opset,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None, "without a file name the dynamo exporter returns the program"
    graph = program.model_proto
    given = _opset(graph)
    if given != contract.opset:
        raise UserError(f"torch cannot export this model to ONNX opset {contract.opset}: it gave {given}; use that one")
    _strip(graph)
    return graph


def _strip(graph: onnx.ModelProto) -> None:
    """Remove stack traces and paths of the building machine, and value infos that `quantize_dynamic` trips over."""
    del graph.metadata_props[:]
    del graph.graph.value_info[:]
    parts = [graph.graph, *graph.graph.node, *graph.graph.input, *graph.graph.output, *graph.graph.initializer]
    for part in parts:
        del part.metadata_props[:]
        part.doc_string = ""


def _quantize(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph with dynamic int8 weights.

    Unsigned weights: products of two unsigned bytes are exact in onnxruntime's kernels on every CPU, while its default,
    `QInt8`, saturates on x86 without VNNI.
    """
    with tempfile.TemporaryDirectory() as folder, _quiet("root"):
        path = Path(folder) / "int8.onnx"
        quantize_dynamic(graph, path, weight_type=QuantType.QUInt8)
        return onnx.load(path)


def _load(path: Path) -> Loaded:
    data = read_bytes(path)
    try:
        session = open_session(data)
        contract = session_contract(session)
        graph = onnx.ModelProto.FromString(data)
        onnx.checker.check_model(graph)
    except (SessionError, ContractError, DecodeError, onnx.checker.ValidationError) as error:
        raise ArtefactError(str(error).splitlines()[0]) from error
    problems = contradictions(session, contract)
    if _opset(graph) != contract.opset:
        problems.append(f"the graph is of opset {_opset(graph)}, its contract says {contract.opset}")
    found = "int8" if any(node.op_type in _INTEGER_PRODUCTS for node in graph.graph.node) else "fp32"
    if found != contract.precision:
        problems.append(f"the graph computes in {found}, its contract says {contract.precision}")
    problems += saturating_weights(graph)
    run = predictor(session)

    def predict(images: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            return run(images)
        except SessionError as error:
            raise ArtefactError(str(error)) from error

    return Loaded(contract, predict, tuple(problems))


def saturating_weights(graph: onnx.ModelProto) -> list[str]:
    """Return a line for each weight that gives wrong sums on an x86 CPU without VNNI; see `SAFE_INT8`."""
    used = {name for node in graph.graph.node if node.op_type in _INTEGER_PRODUCTS for name in node.input}
    problems = []
    for tensor in graph.graph.initializer:
        if tensor.name in used and tensor.data_type == onnx.TensorProto.INT8:
            largest = int(np.abs(onnx.numpy_helper.to_array(tensor).astype(np.int16)).max(initial=0))
            if largest > SAFE_INT8:
                problems.append(
                    f"{tensor.name} holds signed weights up to {largest}, which saturate on x86 CPUs without VNNI: "
                    f"expected unsigned ones, or at most {SAFE_INT8}"
                )
    return problems


def _opset(graph: onnx.ModelProto) -> int | None:
    versions: list[int] = [entry.version for entry in graph.opset_import if entry.domain == ""]
    return versions[0] if len(versions) == 1 else None


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Hold back the loggers of libraries that report every step; what goes wrong is raised or read back."""
    loggers = [logging.getLogger(None if name == "root" else name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


ONNX = Format(
    name="onnx",
    suffix=".onnx",
    precisions=("fp32", "int8"),
    has_opset=True,
    export=_export,
    load=_load,
    layers=open_layers,
)
