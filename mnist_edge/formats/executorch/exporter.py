"""Trained model → ExecuTorch programs (`.pte`) for XNNPACK."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import torch
from torch import nn

from mnist_edge.artifact.bundle import Bundle, metadata_of
from mnist_edge.artifact.contract import Contract
from mnist_edge.artifact.fields import one_line
from mnist_edge.artifact.test_vectors import TestVectors
from mnist_edge.errors import UserError
from mnist_edge.formats.build import ExportRequest
from mnist_edge.formats.executorch.runner import open_program
from mnist_edge.formats.executorch.texts import TEXTS, padded
from mnist_edge.formats.logs import silent
from mnist_edge.formats.sandboxed import predict
from mnist_edge.types import Images


def export(model: nn.Module, requests: Sequence[ExportRequest]) -> list[Bundle]:
    """Return a program for each request; see `mnist_edge.formats.build.Exporter`."""
    with silent():  # it logs and warns at every step
        return [_export_one(model, request) for request in requests]


def _export_one(model: nn.Module, request: ExportRequest) -> Bundle:
    sample = torch.zeros(1, *request.contract.task.input.shape)
    vectors = request.test_vectors
    if not request.scheme.quantized:
        return Bundle.of_file(_program(model, sample, _texts(request.contract, vectors)))
    model = _quantized(model, sample, request.calibration)
    # With what PyTorch answers, which takes as much room as what the runtime will.
    expected = torch.cat([model(image) for image in torch.from_numpy(vectors.inputs).split(1)])
    drafted = _texts(request.contract, vectors.with_expected(expected.detach().numpy()))
    program = _program(model, sample, drafted)
    with closing(open_program(program)) as session:
        texts = _texts(request.contract, vectors.with_expected(predict(session, vectors.inputs)))
    return Bundle.of_file(_with_texts(program, drafted, texts) or _program(model, sample, texts))


def _texts(contract: Contract, vectors: TestVectors) -> dict[str, str]:
    """Return what a program carries, by the methods that give it."""
    return {TEXTS[key]: padded(text) for key, text in metadata_of(contract, vectors).items()}


def _with_texts(program: bytes, old: Mapping[str, str], new: Mapping[str, str]) -> bytes | None:
    """Return a program with other texts, without lowering it again; None where they have another size."""
    for name, text in old.items():
        before, after = text.encode(), new[name].encode()
        if len(before) != len(after) or program.count(before) != 1:
            return None
        program = program.replace(before, after)
    return program


def _program(model: nn.Module, sample: torch.Tensor, texts: Mapping[str, str]) -> bytes:
    """Return a network, and methods that give texts, as a program; raises `UserError` where that can't be done."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    exported = torch.export.export(model, (sample,))
    try:
        lowered = to_edge_transform_and_lower(
            exported, partitioner=[XnnpackPartitioner()], constant_methods=dict(texts)
        )
        return bytes(lowered.to_executorch().buffer)
    except (RuntimeError, ValueError, NotImplementedError, KeyError) as error:
        raise UserError(f"ExecuTorch cannot hold this network ({one_line(error)})") from error


def _quantized(model: nn.Module, sample: torch.Tensor, images: Images) -> nn.Module:
    """Return a network with int8 weights, a step for each output channel, and a step for each image's activations."""
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    config = get_symmetric_quantization_config(is_per_channel=True, is_dynamic=True)
    prepared: Any = prepare_pt2e(torch.export.export(model, (sample,)).module(), XNNPACKQuantizer().set_global(config))
    with torch.inference_mode():  # only weights have fixed steps, for which one image is enough
        prepared(torch.from_numpy(images[:1]))
    converted: nn.Module = convert_pt2e(prepared)
    return converted
