"""Trained model → TorchScript archives, by tracing."""

import io
import re
import zipfile
from collections.abc import Sequence
from keyword import iskeyword

import torch
from torch import nn

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.checksum import CHECKSUM_PLACEHOLDER
from mnist_edge.artifact.contract import CONTRACT_KEY
from mnist_edge.artifact.test_vectors import TEST_VECTORS_KEY
from mnist_edge.errors import UserError
from mnist_edge.formats.attention import layers_of_attention
from mnist_edge.formats.build import ExportRequest
from mnist_edge.formats.torchscript.archive import LAYER_NAME
from mnist_edge.formats.torchscript.deprecations import without_deprecations
from mnist_edge.formats.torchscript.quantization import check_quantized, quantize
from mnist_edge.text import printable
from mnist_edge.types import Images, Logits


def export(model: nn.Module, requests: Sequence[ExportRequest]) -> list[Bundle]:
    """Return a TorchScript archive for each request; see `mnist_edge.formats.build.Exporter`."""
    _check_names(model)
    with layers_of_attention():
        return [_export_one(quantize(model, request), request) for request in requests]


def _check_names(model: nn.Module) -> None:
    """Raise `UserError` where a layer or a parameter has a name that the code of an archive may not hold."""
    for name in (*(name for name, _ in model.named_modules()), *model.state_dict()):
        if not all(LAYER_NAME.fullmatch(part) and not iskeyword(part) for part in name.split(".")):
            raise UserError(
                f"torchscript can't hold a layer or parameter named {printable(name)}: names become code, and may have "
                "letters and digits of ASCII, spaces, _, - and !, but not be a keyword of Python: rename it"
            )


def _export_one(model: nn.Module, request: ExportRequest) -> Bundle:
    sample = torch.zeros(2, *request.contract.task.input.shape)
    vectors = request.test_vectors
    with without_deprecations():
        # The first trace of a class in a process keeps its name, later ones get a number; here all do.
        torch.jit.trace(model, sample)
        module = torch.jit.trace(model, sample)
        if request.scheme.quantized:
            check_quantized(module)
            vectors = vectors.with_expected(_one_by_one(module, vectors.inputs))
        metadata = {CONTRACT_KEY: request.contract.to_json().encode(), TEST_VECTORS_KEY: vectors.to_json().encode()}
        buffer = io.BytesIO()
        torch.jit.save(module, buffer, _extra_files=metadata)
    return Bundle.of_file(_canonical(buffer.getvalue()))


def _one_by_one(module: nn.Module, images: Images) -> Logits:
    """Return the logits, float32 `[N, classes]`, of images given in batches of one."""
    with torch.inference_mode():
        parts = [module(batch) for batch in torch.from_numpy(images).split(1)]
    logits: Logits = torch.cat(parts).numpy()
    return logits


def _canonical(archive: bytes) -> bytes:
    """Return the archive without what depends on the machine or on what else the process traced.

    Dropped are debug records (source paths), sample inputs and the archive's random name; classes are numbered
    again in the order in which they appear. The place for the checksum is the archive's comment.
    """
    numbers: dict[bytes, bytes] = {}

    def renumber(text: bytes) -> bytes:
        return re.sub(
            rb"___torch_mangle_\d+", lambda m: numbers.setdefault(m[0], b"___torch_mangle_%d" % len(numbers)), text
        )

    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as source, zipfile.ZipFile(result, "w") as target:
        for name in source.namelist():
            if name.endswith((".debug_pkl", "/serialization_id")) or "/traced_inputs" in name:
                continue
            data = source.read(name)
            if name.endswith((".py", ".pkl")):
                data = renumber(data)
            target.writestr(zipfile.ZipInfo(renumber(name.encode()).decode()), data)
        target.comment = CHECKSUM_PLACEHOLDER.encode()
    return result.getvalue()
