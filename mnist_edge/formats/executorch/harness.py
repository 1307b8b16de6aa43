"""Test vectors as ExecuTorch's own test harness takes them: a BundledProgram."""

import tempfile
from pathlib import Path

import torch

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.test_vectors import TestVectors
from mnist_edge.formats.executorch.texts import METHOD
from mnist_edge.formats.logs import silent

BUNDLED = "model.bpte"
"""The file that holds the program with inputs and expected outputs."""


def harness_files(bundle: Bundle, vectors: TestVectors) -> dict[str, bytes]:
    """Return the program with its test vectors, by name; see `mnist_edge.formats.build.HarnessModule`."""
    with silent(), tempfile.TemporaryDirectory(prefix="mnist-edge-") as name:
        from executorch.devtools.bundled_program.config import MethodTestCase, MethodTestSuite
        from executorch.devtools.bundled_program.core import BundledProgram
        from executorch.devtools.bundled_program.serialize import serialize_from_bundled_program_to_flatbuffer

        path = Path(name) / "model.pte"
        path.write_bytes(bundle.data)
        images, logits = torch.from_numpy(vectors.inputs), torch.from_numpy(vectors.expected_logits.copy())
        cases = [
            MethodTestCase(inputs=[images[index : index + 1]], expected_outputs=[logits[index : index + 1]])
            for index in range(len(images))
        ]
        suites = [MethodTestSuite(method_name=METHOD, test_cases=cases)]
        bundled = BundledProgram(None, suites, pte_file_path=str(path))
        return {BUNDLED: bytes(serialize_from_bundled_program_to_flatbuffer(bundled))}
