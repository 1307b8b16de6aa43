"""Trained model → .npz."""

from collections.abc import Sequence

from torch import nn

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.formats.build import ExportRequest
from mnist_edge.formats.c.exporter import check_network, headers
from mnist_edge.formats.numpy.archive import pack

__all__ = ["check_network", "export"]


def export(model: nn.Module, requests: Sequence[ExportRequest]) -> list[Bundle]:
    """Return a file for each request; see `mnist_edge.formats.build.Exporter`."""
    return [
        Bundle.of_file(pack(header.network, header.contract, header.vectors)) for header in headers(model, requests)
    ]
