"""Trained model → a folder with the two files of an ncnn model, by pnnx."""

import re
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pnnx
import torch
from torch import nn

from mnist_edge.artifact.bundle import Bundle, metadata_of
from mnist_edge.errors import UserError
from mnist_edge.formats.attention import layers_of_attention
from mnist_edge.formats.build import ExportRequest
from mnist_edge.formats.logs import silent
from mnist_edge.formats.ncnn.files import PARAM, WEIGHTS
from mnist_edge.formats.ncnn.operators import log_softmax_from_differences
from mnist_edge.formats.ncnn.runner import open_model
from mnist_edge.formats.pooling import refuse_cut_windows, refuse_divisors
from mnist_edge.formats.sandboxed import predict
from mnist_edge.formats.scheme import Precision

_LOST_EPSILON = re.compile(rb"^(RMSNorm .* 1=)0\.0\b", re.MULTILINE)
"""What pnnx writes for the epsilon that nn.RMSNorm has by default, float32's, and what gives NaN for zeros."""


def export(model: nn.Module, requests: Sequence[ExportRequest]) -> list[Bundle]:
    """Return a folder for each request; see `mnist_edge.formats.build.Exporter`."""
    refuse_divisors(model, "ncnn")
    refuse_cut_windows(model, requests[0].contract.task.input.shape, "ncnn", unpadded=True)
    return [_export_one(model, request) for request in requests]


def _export_one(model: nn.Module, request: ExportRequest) -> Bundle:
    half = request.scheme.precision is Precision.FP16
    bundle = Bundle(_convert(model, request.contract.task.input.shape, half=half), folder=True)
    vectors = request.test_vectors
    if half:
        with closing(open_model(bundle)) as session:
            vectors = vectors.with_expected(predict(session, vectors.inputs))
    return bundle.with_sidecar(metadata_of(request.contract, vectors))


def _convert(model: nn.Module, shape: tuple[int, ...], *, half: bool) -> dict[str, bytes]:
    """Return the two files; pnnx writes five more and talks, so it does so in a temporary folder.

    Raises:
        UserError: pnnx can't convert the network.
    """
    with tempfile.TemporaryDirectory(prefix="mnist-edge-") as name:
        # torch warns that TorchScript is deprecated, which is what pnnx reads
        with silent(), layers_of_attention(), log_softmax_from_differences(model) as written:
            torch.jit.trace(written, torch.zeros(1, *shape)).save(Path(name) / "model.pt")
        sides = ",".join(map(str, (1, *shape)))
        command = [pnnx.EXEC_PATH, "model.pt", f"inputshape=[{sides}]", f"fp16={int(half)}"]
        done = subprocess.run(command, cwd=name, capture_output=True, check=False)  # noqa: S603
        files = {file: Path(name) / file for file in (PARAM, WEIGHTS)}
        if done.returncode != 0 or not all(path.is_file() for path in files.values()):
            raise UserError("pnnx cannot convert this network for ncnn: export it to another format")
        found = {file: path.read_bytes() for file, path in files.items()}
    unknown = re.search(rb"^\w+\.\S+", found[PARAM], re.MULTILINE)  # pnnx leaves what ncnn lacks under torch's name
    if unknown:
        raise UserError(f"ncnn has no layer for {unknown[0].decode(errors='replace')}: export it to another format")
    return {**found, PARAM: _LOST_EPSILON.sub(rb"\g<1>%.9g" % torch.finfo(torch.float32).eps, found[PARAM])}
