"""A folder of arrays, multiplied by numpy."""

import io

import numpy as np

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.contract import CONTRACT_KEY, Contract
from mnist_edge.errors import ArtifactError
from mnist_edge.formats.runner import Runner
from mnist_edge.types import Images, Logits


def open_runner(bundle: Bundle) -> Runner:
    """Open a folder; see `mnist_edge.formats.base.RunnerModule`."""
    metadata = bundle.sidecar_metadata()
    arrays = {name: np.load(io.BytesIO(data)) for name, data in bundle.files.items() if name.endswith(".npy")}
    layers = [(arrays[f"{number}.weight.npy"], arrays[f"{number}.bias.npy"]) for number in range(len(arrays) // 2)]

    def predict(images: Images) -> Logits:
        if len(images) != 1:
            raise ArtifactError(f"it takes one image, not {len(images)}")
        values = images.reshape(1, -1)
        with np.errstate(invalid="ignore"):  # NaN in gives NaN out
            for number, (weight, bias) in enumerate(layers):
                values = values @ weight.T + bias
                if number < len(layers) - 1:
                    values = np.maximum(values, 0)
        return values.astype(np.float32)

    return Runner(Contract.from_json(metadata.get(CONTRACT_KEY)), metadata, predict)
