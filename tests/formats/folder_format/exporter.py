"""An MLP → a folder of arrays."""

import io
from collections.abc import Sequence

import numpy as np
from torch import nn

from mnist_edge.artifact.bundle import Bundle, metadata_of
from mnist_edge.formats.build import ExportRequest


def export(model: nn.Module, requests: Sequence[ExportRequest]) -> list[Bundle]:
    """Return a folder for each request; see `mnist_edge.formats.build.Exporter`."""
    files = {}
    for number, layer in enumerate(module for module in model.modules() if isinstance(module, nn.Linear)):
        files[f"{number}.weight.npy"] = _bytes(layer.weight.detach().numpy())
        files[f"{number}.bias.npy"] = _bytes(layer.bias.detach().numpy())
    return [
        Bundle(files, folder=True).with_sidecar(metadata_of(request.contract, request.test_vectors))
        for request in requests
    ]


def _bytes(array: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]") -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()
