"""Trained model → C headers."""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import nn

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.test_vectors import TestVectors
from mnist_edge.errors import UserError
from mnist_edge.formats.build import ExportRequest
from mnist_edge.formats.c.header import Header
from mnist_edge.formats.c.lowering import lower
from mnist_edge.formats.c.network import Network
from mnist_edge.formats.c.quantization import quantize
from mnist_edge.formats.c.reference import exact_outputs, logits_of, to_bytes
from mnist_edge.formats.c.writer import write
from mnist_edge.formats.scheme import FLOAT_BOUND
from mnist_edge.types import TensorSpec

CALIBRATION_IMAGES = 1_000
"""Images from which the steps of the values between layers are taken."""

_CHAIN_RTOL = 1e-3
"""Error of a logit, as a part of the largest, that float32 explains where the trained model's code asks for that, with
a wide margin."""


def export(model: nn.Module, requests: Sequence[ExportRequest]) -> list[Bundle]:
    """Return a header for each request; see `mnist_edge.formats.build.Exporter`."""
    return [Bundle.of_file(write(header).encode("ascii")) for header in headers(model, requests)]


def headers(model: nn.Module, requests: Sequence[ExportRequest]) -> list[Header]:
    """Return what the header for each request, at least one, is written from; raises `UserError` where it can't be."""
    network = lower(model, requests[0].contract.task.input)
    _check_chain(network, requests[0].test_vectors)
    return [_header(network, request) for request in requests]


def check_network(model: nn.Module, tensor: TensorSpec) -> None:
    """Refuse a network that is no chain of layers which C can have; raises `UserError`."""
    lower(model, tensor)


def _check_chain(network: Network, vectors: TestVectors) -> None:
    """Raise `UserError` where the layers do not give the trained model's logits: rounding to bytes could hide that."""
    images = vectors.images.transpose(0, 2, 3, 1) * network.input_step
    ((_, values),) = deque(exact_outputs(network, images), maxlen=1)  # all layers together could fill the memory
    trained = vectors.trained_logits
    allowed = max(FLOAT_BOUND, _CHAIN_RTOL * float(np.abs(trained).max()))
    if values.size != trained.size or not np.abs(values.reshape(trained.shape) - trained).max() <= allowed:
        raise UserError(
            "cannot write this network layer by layer: its layers one by one do not give what it gives, so one of them "
            "does something else than others of its kind; export it to another --format"
        )


def _header(network: Network, request: ExportRequest) -> Header:
    step = network.input_step
    if request.scheme.quantized:
        stored = quantize(network, to_bytes(request.calibration[:CALIBRATION_IMAGES], step))
    else:
        stored = _as_floats(network)
    expected = logits_of(stored, request.test_vectors.images.transpose(0, 2, 3, 1))
    vectors = request.test_vectors.with_expected(expected)
    return Header(request.contract, vectors, vectors.to_json(), stored)


def _as_floats(network: Network) -> Network:
    """Return a network with its weights in float32."""
    layers = tuple(
        replace(layer, weights=layer.weights.astype(np.float32), bias=layer.bias.astype(np.float32))
        if layer.weights is not None and layer.bias is not None
        else layer
        for layer in network.layers
    )
    return Network(layers, network.input_step)
