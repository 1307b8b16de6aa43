import numpy as np

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.artifact.contract import CONTRACT_KEY, Contract
from mnist_edge.errors import ArtifactError
from mnist_edge.formats.runner import Runner
from mnist_edge.types import Images, Logits


def open_runner(bundle: Bundle) -> Runner:
    """Open an artifact that answers by the brightness of the image: with the second label from one in ten on."""
    metadata = dict(line.split("\t") for line in bundle.data.decode().splitlines())
    contract = Contract.from_json(metadata.get(CONTRACT_KEY))

    def predict(images: Images) -> Logits:
        if contract.batch not in {None, len(images)}:
            raise ArtifactError(f"a batch of {len(images)}, expected {contract.batch}")
        logits = np.zeros((len(images), len(contract.task.labels)), dtype=np.float32)
        logits[:, 1] = images.mean(axis=(1, 2, 3)) * 100 - 10
        return logits

    return Runner(contract, metadata, predict)
