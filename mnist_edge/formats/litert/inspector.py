"""What is read in a `.tflite` file: the file without its metadata."""

from collections.abc import Mapping

from mnist_edge.artifact.bundle import Bundle
from mnist_edge.formats.litert.flatbuffer import read_model, without_metadata


def program(bundle: Bundle) -> Mapping[str, bytes]:
    """Return a file's graph and weights; see `mnist_edge.formats.build.Inspector`."""
    return {"graph": without_metadata(read_model(bundle.data))}
