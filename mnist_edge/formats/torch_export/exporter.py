"""Trained model → `torch.export` archives (`.pt2`)."""

import io
import zipfile
from collections.abc import Sequence

import torch
from torch import nn

from mnist_edge.artifact.bundle import Bundle, metadata_of
from mnist_edge.artifact.checksum import CHECKSUM_KEY, CHECKSUM_PLACEHOLDER
from mnist_edge.formats.build import ExportRequest

_MACHINE_METADATA = ("stack_trace", "from_node")
"""What torch notes of each operation about the source it came from, with paths of the building machine."""


def export(model: nn.Module, requests: Sequence[ExportRequest]) -> list[Bundle]:
    """Return a `.pt2` archive for each request; see `mnist_edge.formats.build.Exporter`."""
    return [_export_one(model, request) for request in requests]


def _export_one(model: nn.Module, request: ExportRequest) -> Bundle:
    contract = request.contract
    # A batch of 2, since torch takes a dimension of 1 for one that is always 1.
    sample = torch.zeros(2, *contract.task.input.shape)
    batch = torch.export.Dim(str(contract.input_shape[0]))
    program = torch.export.export(model, (sample,), dynamic_shapes=({0: batch},))
    for node in list(program.graph.nodes):
        if node.target == torch.ops.aten._assert_tensor_metadata.default:  # beside casts: computes nothing
            program.graph.erase_node(node)
        for name in _MACHINE_METADATA:
            node.meta.pop(name, None)
    metadata = metadata_of(contract, request.test_vectors)
    del metadata[CHECKSUM_KEY]
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files=metadata)
    return Bundle.of_file(_canonical(buffer.getvalue()))


def _canonical(archive: bytes) -> bytes:
    """Return the archive without its random name, and with a place for the checksum: the archive's comment."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as source, zipfile.ZipFile(result, "w") as target:
        for name in source.namelist():
            if not name.endswith("/serialization_id"):
                target.writestr(zipfile.ZipInfo(name), source.read(name))
        target.comment = CHECKSUM_PLACEHOLDER.encode()
    return result.getvalue()
