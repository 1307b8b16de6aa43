"""Trained model → a page."""

from collections.abc import Sequence

from torch import nn

from mnist_edge.artifact.bundle import Bundle, metadata_of
from mnist_edge.artifact.figures import FIGURES_KEY, Figures
from mnist_edge.errors import ArtifactError, UserError
from mnist_edge.formats.build import ExportRequest
from mnist_edge.formats.c.exporter import check_network, headers
from mnist_edge.formats.c.header import Header
from mnist_edge.formats.page.document import write
from mnist_edge.formats.wasm.exporter import compile_module, es_module
from mnist_edge.formats.wasm.runner import Module

__all__ = ["check_network", "export"]


def export(model: nn.Module, requests: Sequence[ExportRequest]) -> list[Bundle]:
    """Return a page for each request; see `mnist_edge.formats.build.Exporter`."""
    return [_export_one(header, request) for header, request in zip(headers(model, requests), requests, strict=True)]


def _export_one(header: Header, request: ExportRequest) -> Bundle:
    module = compile_module(header)
    metadata = metadata_of(header.contract, header.vectors)
    metadata[FIGURES_KEY] = _measure(module, request).to_json()
    return Bundle.of_file(write(header.title, header.contract, metadata, module, es_module(header, module)))


def _measure(module: bytes, request: ExportRequest) -> Figures:
    """Return what a page can say of itself, measured with its module; raises `UserError` where that does not run."""
    trained = request.trained
    try:
        logits = Module(module, request.contract).predict(trained.images)
    except ArtifactError as error:
        raise UserError(f"cannot make a page: {error}") from error
    return Figures.of(logits, trained.logits, trained.labels)
