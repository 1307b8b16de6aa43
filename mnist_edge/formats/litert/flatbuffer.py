"""A `.tflite` file as objects: read and checked, and written again. Needs what LiteRT itself needs: flatbuffers, numpy.

LiteRT follows the offsets in a file without checking them. So it is never given a file as it came: what was read here,
with offsets that lead somewhere, is written again, and that is run.
"""

import struct
from collections.abc import Mapping
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from mnist_edge.artifact.fields import one_line
from mnist_edge.errors import ArtifactError
from mnist_edge.types import AnyArray

IDENTIFIER = b"TFL3"
"""The file identifier of the schema (`tflite/schema.fbs`)."""

MAX_BYTES = 64 << 20
"""Most bytes of a file."""

MAX_ITEMS = 2_000
"""Most operators, tensors or buffers."""

MAX_ELEMENTS = 1 << 24
"""Most numbers of a tensor."""

_ALIGNMENT = 16
"""Of the data of a buffer: `force_align` in the schema, which flatbuffers' Python code does not know."""

OPERATORS = frozenset(
    getattr(schema.BuiltinOperator, name)
    for name in (
        *("RESHAPE", "TRANSPOSE", "PAD", "PADV2", "CONCATENATION", "SLICE", "STRIDED_SLICE", "SQUEEZE", "EXPAND_DIMS"),
        *("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "BATCH_MATMUL", "MAX_POOL_2D", "AVERAGE_POOL_2D"),
        *("MEAN", "SUM", "REDUCE_MAX", "ADD", "SUB", "MUL", "DIV", "NEG", "ABS", "SQUARED_DIFFERENCE", "POW"),
        *("MAXIMUM", "MINIMUM", "RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "LEAKY_RELU", "PRELU", "ELU"),
        *("LOGISTIC", "TANH", "GELU", "HARD_SWISH", "SOFTMAX", "LOG_SOFTMAX", "EXP", "LOG", "SQRT", "RSQRT"),
        *("QUANTIZE", "DEQUANTIZE", "CAST", "SELECT", "SELECT_V2", "GREATER", "GREATER_EQUAL", "LESS", "BROADCAST_TO"),
    )
)
"""What a graph may call: layers of small classifiers. No control flow, no variables, no code of somebody else's."""


class _Builder(flatbuffers.Builder):  # type: ignore[misc] # it has no annotations
    """Writes the data of buffers at multiples of 16 bytes, as the C++ code that is generated from the schema does."""

    def CreateNumpyVector(self, x: AnyArray) -> int:  # noqa: N802
        """Write an array; returns its place."""
        if x.dtype == np.uint8:
            self.Prep(_ALIGNMENT, x.size)
        place: int = super().CreateNumpyVector(x)
        return place


def read_model(data: bytes) -> Any:  # noqa: ANN401
    """Return a file as a `ModelT` of the schema.

    Raises:
        ArtifactError: it is not a `.tflite` file, is damaged, or holds what no small classifier needs.
    """
    if len(data) > MAX_BYTES:
        raise ArtifactError(f"it has more than {MAX_BYTES >> 20} MiB")
    if data[4:8] != IDENTIFIER:
        raise ArtifactError("it is not a .tflite file")
    try:
        _check_counts(schema.Model.GetRootAs(data))
        model = schema.ModelT.InitFromPackedBuf(data)
        _check(model)
    # What reading past the end of the bytes, or of a list, gives; and what a vector of another kind gives.
    except (struct.error, ValueError, IndexError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ArtifactError(f"it is not a .tflite file, or is damaged ({one_line(error)})") from error
    return model


def _check_counts(model: Any) -> None:  # noqa: ANN401
    """Refuse a file whose tables are so many that reading them would take long."""
    if model.SubgraphsLength() != 1 or model.SignatureDefsLength() > 1:
        raise ArtifactError(f"it holds {model.SubgraphsLength()} graphs, expected 1")
    graph = model.Subgraphs(0)
    counts = (model.BuffersLength(), model.OperatorCodesLength(), graph.OperatorsLength(), graph.TensorsLength())
    if max(*counts, model.MetadataLength()) > MAX_ITEMS:
        raise ArtifactError(f"it holds more than {MAX_ITEMS:,} operators, tensors or buffers")


def _check(model: Any) -> None:  # noqa: ANN401
    for code in model.operatorCodes:
        if code.customCode is not None or max(code.builtinCode, code.deprecatedBuiltinCode) not in OPERATORS:
            found = max(code.builtinCode, code.deprecatedBuiltinCode)
            raise ArtifactError(f"its graph calls operator {found}, which is not on the list of operators")
    graph = model.subgraphs[0]
    for tensor in graph.tensors:
        shape = [] if tensor.shape is None else [int(side) for side in tensor.shape]
        elements = 1
        for side in shape:
            elements *= side
        if not all(side > 0 for side in shape) or elements > MAX_ELEMENTS or tensor.isVariable:
            raise ArtifactError("a tensor of it has a size that no small classifier needs")
        if not 0 <= tensor.buffer < len(model.buffers):
            raise ArtifactError("a tensor of it has no buffer")
    for operator in graph.operators:
        if operator.customOptions is not None or not 0 <= operator.opcodeIndex < len(model.operatorCodes):
            raise ArtifactError("an operator of it is not one of its operators")
        if not all(-1 <= index < len(graph.tensors) for index in (*_list(operator.inputs), *_list(operator.outputs))):
            raise ArtifactError("an operator of it has a tensor that is not there")
    if any(buffer.offset or buffer.size for buffer in model.buffers):
        raise ArtifactError("it holds data behind its end")


def _list(indices: Any) -> list[int]:  # noqa: ANN401
    return [] if indices is None else [int(index) for index in indices]


def write_model(model: Any) -> bytes:  # noqa: ANN401
    """Return a `ModelT` as a file; the same gives the same bytes."""
    builder = _Builder(1 << 16)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def metadata_of(model: Any) -> dict[str, str]:  # noqa: ANN401
    """Return what a file carries, by key; raises `ArtifactError` where it is not text."""
    found = {}
    try:
        for entry in model.metadata or []:
            data = model.buffers[entry.buffer].data
            found[_text(entry.name)] = b"" if data is None else bytes(data)
        return {name: data.decode() for name, data in found.items() if name.startswith("mnist_edge.")}
    except (IndexError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise ArtifactError("its metadata is damaged") from error


def set_metadata(model: Any, metadata: Mapping[str, str]) -> None:  # noqa: ANN401
    """Put texts into a file's metadata, each in a buffer of its own."""
    for name, text in metadata.items():
        entry, buffer = schema.MetadataT(), schema.BufferT()
        entry.name, entry.buffer = name, len(model.buffers)
        buffer.data = np.frombuffer(text.encode(), np.uint8)
        model.buffers.append(buffer)
        model.metadata = [*(model.metadata or []), entry]


def without_metadata(model: Any) -> bytes:  # noqa: ANN401
    """Return a file without what `set_metadata` put into it; changes the model."""
    kept = []
    for entry in model.metadata or []:
        if _text(entry.name).startswith("mnist_edge."):
            model.buffers[entry.buffer].data = None
        else:
            kept.append(entry)
    model.metadata = kept
    return write_model(model)


def _text(name: "bytes | str | None") -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else name or ""
