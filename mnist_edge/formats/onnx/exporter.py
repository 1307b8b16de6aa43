"""ONNX, run by onnxruntime."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnx.checker
import torch
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from torch import nn

from mnist_edge.errors import UserError
from mnist_edge.formats.base import ArtefactError, Format, Loaded, Structure
from mnist_edge.parity.test_vectors import with_expected
from mnist_edge.formats.onnx.quantization import (
    SCHEMES,
    defined_logits,
    precision_of,
    quantize,
    quiet,
    saturating_weights,
    stored_weights,
)
from mnist_edge.formats.onnx.intermediates import open_layers
from mnist_edge.atomic import read_bytes
from mnist_edge.artifact.contract import CONTRACT_KEY, UNQUANTIZED, Contract, ContractError
from mnist_edge.artifact.test_vectors import GOLDEN_KEY, Golden, GoldenError
from mnist_edge.artifact.checksum import SEAL_KEY, UNSEALED
from mnist_edge.formats.onnx.runner import (
    SessionError,
    contradictions,
    open_session,
    predictor,
    session_contract,
    session_golden,
)

_DEFINED = 1e-5
"""By how much the reference implementation's own arithmetic may differ between machines."""


def _export(model: nn.Module, contracts: Sequence[Contract], golden: Golden) -> list[bytes]:
    """Return the model as ONNX files that carry contract, golden vectors and a place for the seal."""
    floating = _to_onnx(model, contracts[0])
    return [_with_papers(_in_scheme(floating, contract.scheme), contract, golden) for contract in contracts]


def _in_scheme(floating: onnx.ModelProto, scheme: str) -> onnx.ModelProto:
    graph = onnx.ModelProto()
    graph.CopyFrom(floating if scheme == UNQUANTIZED else quantize(floating, scheme))
    return graph


def _with_papers(graph: onnx.ModelProto, contract: Contract, golden: Golden) -> bytes:
    if contract.scheme != UNQUANTIZED:
        golden = with_expected(golden, defined_logits(graph, golden.inputs), contract.scheme)
    papers = {CONTRACT_KEY: contract.to_json(), GOLDEN_KEY: golden.to_json(), SEAL_KEY: UNSEALED}
    for key, value in papers.items():
        graph.metadata_props.add(key=key, value=value)
    data: bytes = graph.SerializeToString(deterministic=True)
    return data


def _to_onnx(model: nn.Module, contract: Contract) -> onnx.ModelProto:
    sample = torch.zeros(2, *(side for side in contract.input_shape if isinstance(side, int)))
    with quiet("torch.onnx", "onnxscript"):
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


def _load(path: Path) -> Loaded:
    data = read_bytes(path)
    try:
        session = open_session(data)
        contract, golden = session_contract(session), session_golden(session)
        graph = onnx.ModelProto.FromString(data)
        onnx.checker.check_model(graph)
    except (SessionError, ContractError, GoldenError, DecodeError, onnx.checker.ValidationError) as error:
        raise ArtefactError(str(error).splitlines()[0]) from error
    problems = contradictions(session, contract)
    if _opset(graph) != contract.opset:
        problems.append(f"the graph is of opset {_opset(graph)}, its contract says {contract.opset}")
    if precision_of(graph) != contract.precision:
        problems.append(f"the graph's weights are {precision_of(graph)}, its contract says {contract.precision}")
    problems += saturating_weights(graph) + _expected_problems(graph, golden)
    run = predictor(session)

    def predict(images: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            return run(images)
        except SessionError as error:
            raise ArtefactError(str(error)) from error

    return Loaded(contract, golden, stored_weights(graph), predict, tuple(problems))


def _expected_problems(graph: onnx.ModelProto, golden: Golden) -> list[str]:
    """Return a line where the file's operators do not give what its golden vectors expect of them."""
    try:
        given = defined_logits(graph, golden.inputs)
    except (RuntimeError, ValueError, IndexError, KeyError, TypeError) as error:  # what a broken graph makes it raise
        return [f"ONNX's reference implementation cannot run it ({str(error).splitlines()[0]})"]
    if given.shape != golden.expected.shape:
        return [f"its operators give {list(given.shape)} logits for {len(golden.labels)} golden vectors"]
    off = float(np.abs(given.astype(np.float64) - golden.expected).max())
    if off <= _DEFINED:
        return []
    return [f"its operators give logits off by {off:.3g} from those that its golden vectors expect of them"]


def _structure(path: Path) -> Structure:
    graph = onnx.ModelProto.FromString(read_bytes(path))
    weights = [tensor for tensor in graph.graph.initializer if _is_weight(tensor)]
    return Structure(
        operators=dict(Counter(node.op_type for node in graph.graph.node)),
        parameters=sum(math.prod(tensor.dims) for tensor in weights),
        tensors={
            tensor.name: (onnx.TensorProto.DataType.Name(tensor.data_type), tuple(tensor.dims)) for tensor in weights
        },
    )


def _is_weight(tensor: onnx.TensorProto) -> bool:
    """Say whether a constant is learnt: scales, zero points and shapes are not."""
    return tensor.data_type != onnx.TensorProto.INT64 and not tensor.name.endswith(("_scale", "_zero_point"))


def _opset(graph: onnx.ModelProto) -> int | None:
    versions: list[int] = [entry.version for entry in graph.opset_import if entry.domain == ""]
    return versions[0] if len(versions) == 1 else None


ONNX = Format(
    name="onnx",
    suffix=".onnx",
    precisions=("fp32", "int8"),
    schemes=SCHEMES,
    has_opset=True,
    export=_export,
    load=_load,
    structure=_structure,
    layers=open_layers,
)
