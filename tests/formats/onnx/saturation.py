"""An x86 CPU without VNNI, as far as it matters: integer products whose sums of two saturate in 16 bits.

`vpmaddubsw` (Intel SDM vol. 2) multiplies unsigned by signed bytes and adds neighboring products, cutting the sum off
at the bounds of a signed 16-bit integer; `vpmaddwd` and `vpaddd` then add those in 32 bits, which holds them.
"""

import dataclasses
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.formats.runner import Runner
from mnist_edge.types import Images, Logits


def without_vnni(activations: NDArray[np.uint8], weights: NDArray[Any]) -> NDArray[np.int32]:
    """Return the product `[N, M]` of `[N, K]` and `[K, M]` as such a CPU gives it: exact for unsigned weights."""
    if weights.dtype == np.uint8:
        exact: NDArray[np.int32] = activations.astype(np.int32) @ weights.astype(np.int32)
        return exact
    even = activations.shape[1] // 2 * 2
    wide = activations[:, :even].astype(np.int32)[:, :, None] * weights[:even].astype(np.int32)[None]
    pairs = wide.reshape(len(activations), even // 2, 2, -1).sum(axis=2)
    sums: NDArray[np.int32] = np.clip(pairs, -(2**15), 2**15 - 1).sum(axis=1, dtype=np.int32)
    return sums + activations[:, even:].astype(np.int32) @ weights[even:].astype(np.int32)


class MatMulInteger(OpRun):
    """The operator, on such a CPU; zero points are taken off the sums, as onnxruntime does."""

    op_domain = ""

    def _run(
        self, a: NDArray[np.uint8], b: NDArray[Any], a_zero_point: NDArray[Any], b_zero_point: NDArray[Any]
    ) -> tuple[NDArray[np.int32]]:
        a_zero, b_zero = a_zero_point.astype(np.int32), b_zero_point.astype(np.int32)
        sums = without_vnni(a, b) - a_zero * b.astype(np.int32).sum(axis=0)
        rows = a.astype(np.int32).sum(axis=1, keepdims=True)
        return ((sums - rows * b_zero + a.shape[1] * a_zero * b_zero).astype(np.int32),)


def on_an_old_cpu(bundle: Bundle, runner: Runner) -> Runner:
    """Return an ONNX file's runner as it would be on such a CPU."""
    evaluator = ReferenceEvaluator(onnx.ModelProto.FromString(bundle.data), new_ops=[MatMulInteger])

    def predict(images: Images) -> Logits:
        outputs = list(evaluator.run(None, {"image": images}))
        logits: Logits = outputs[0]
        return logits

    return dataclasses.replace(runner, predict=predict)
