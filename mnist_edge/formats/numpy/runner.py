"""A .npz, computed by NumPy: int8 by the arithmetic of the C format, to the last bit, floats in double precision."""

from dataclasses import dataclass, replace

import numpy as np

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.formats.c.network import Network
from mnist_edge.formats.c.reference import exact_outputs, logits_of, to_bytes
from mnist_edge.formats.numpy.archive import read_members, read_metadata, read_network
from mnist_edge.formats.runner import Runner, check_shape
from mnist_edge.types import Images, Logits


def open_runner(bundle: Bundle) -> Runner:
    """Open a file.

    Raises:
        ArtifactError: it is not what mnist-edge writes, or carries no contract that is understood here.
    """
    members = read_members(bundle.data)
    metadata = read_metadata(members)
    contract, network = read_network(members, metadata)
    return Runner(contract, metadata, _Computation(_in_double_precision(network), contract.task.input.shape).predict)


def _in_double_precision(network: Network) -> Network:
    """Return a network whose weights need no conversion at each image."""
    layers = (
        layer if layer.weights is None else replace(layer, weights=layer.weights.astype(np.float64))
        for layer in network.layers
    )
    return Network(tuple(layers), network.input_step)


@dataclass(frozen=True, eq=False)
class _Computation:
    """A network that takes images of a shape, channels, height, width; any number of threads may compute with it."""

    network: Network
    shape: tuple[int, ...]

    def predict(self, images: Images) -> Logits:
        """Return the logits, float32 `[N, classes]`; raises `ArtifactError` where images do not fit."""
        check_shape(images, self.shape)
        if self.network.quantized:
            return logits_of(self.network, to_bytes(images, self.network.input_step))
        outputs = images.transpose(0, 2, 3, 1)
        with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinity give NaN, as in every other format
            for _, values in exact_outputs(self.network, outputs):
                outputs = values
            return outputs.reshape(len(images), -1).astype(np.float32)
