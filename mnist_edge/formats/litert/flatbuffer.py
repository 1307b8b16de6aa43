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
from mnist_edge.formats.litert.structure import MAX_ITEMS, check_graph
from mnist_edge.types import AnyArray

IDENTIFIER = b"TFL3"
"""The file identifier of the schema (`tflite/schema.fbs`)."""

MAX_BYTES = 64 << 20
"""Most bytes of a file."""

_ALIGNMENT = 16
"""Of the data of a buffer: `force_align` in the schema, which flatbuffers' Python code does not know."""


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
        check_graph(model)
        if any(buffer.offset or buffer.size for buffer in model.buffers):
            raise ArtifactError("it holds data behind its end")
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
