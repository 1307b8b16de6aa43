"""Test vectors in forms that the test harnesses of other runtimes read."""

import io
import json

import numpy as np

from mnist_edge.artifact.contract import Contract
from mnist_edge.artifact.test_vectors import TestVectors

FOLDER = "test-data"
"""Folder beside the exports, with one for each artifact in it."""

JSON_FILE, NPZ_FILE = "test_vectors.json", "test_vectors.npz"


def test_data_files(contract: Contract, vectors: TestVectors) -> dict[str, bytes]:
    """Return files with the images that an artifact carries and the logits that it must give, by name.

    `test_data_set_<n>/input_0.pb` and `output_0.pb` are as ONNX's backend tests have them, one image in each set, since
    the answer of some artifacts depends on what else is in the batch. `test_vectors.npz` and `test_vectors.json` hold
    all images; their bytes divided by 255 are the input.
    """
    from onnx.numpy_helper import from_array  # who asks for no test data can export without it

    name, output = contract.task.input.name, contract.output
    files = {JSON_FILE: _as_json(contract, vectors), NPZ_FILE: _as_npz(vectors)}
    for index, (image, logits) in enumerate(zip(vectors.inputs, vectors.expected_logits, strict=True)):
        folder = f"test_data_set_{index}"
        files[f"{folder}/input_0.pb"] = from_array(image[np.newaxis], name).SerializeToString()
        files[f"{folder}/output_0.pb"] = from_array(logits[np.newaxis], output).SerializeToString()
    return files


def _as_npz(vectors: TestVectors) -> bytes:
    file = io.BytesIO()
    np.savez(
        file,
        images=vectors.images,
        labels=np.array(vectors.labels, np.int64),
        logits=vectors.expected_logits,
        trained_logits=vectors.trained_logits,
        bound=np.float64(vectors.bound),
    )
    return file.getvalue()


def _as_json(contract: Contract, vectors: TestVectors) -> bytes:
    tensor = contract.task.input
    fields = {
        "input": {"name": tensor.name, "shape": tensor.shape, "layout": tensor.layout, "divide_by": 255},
        "output": contract.output,
        "labels": contract.task.labels,
        "checkpoint": contract.checkpoint,
        "scheme": contract.scheme,
        "bound": vectors.bound,
        "vectors": [
            {"label": label, "image": image.ravel().tolist(), "logits": logits.tolist()}
            for label, image, logits in zip(vectors.labels, vectors.images, vectors.expected_logits, strict=True)
        ],
    }
    return json.dumps(fields).encode()
