"""A process that answers images with an artifact and writes the logits: what `arm64` starts in the emulator.

python -m mnist_edge.formats.answer FORMAT ARTIFACT IMAGES.npy LOGITS.npy
"""

import sys
from pathlib import Path

import numpy as np

from mnist_edge.artifact.bundle import read_bundle
from mnist_edge.errors import MnistEdgeError
from mnist_edge.formats.registry import FORMATS


def main(format: str, artifact: Path, images: Path, logits: Path) -> None:
    """Answer images, float32 `[N, channels, height, width]`, one at a time; raises `MnistEdgeError`."""
    spec = FORMATS[format]
    bundle = read_bundle(artifact, folder=spec.folder, sidecar=not spec.embeds_metadata)
    with spec.open(bundle) as runner:
        np.save(logits, runner.predict_in_batches(np.load(images, allow_pickle=False), runner.contract.batch or 1))


if __name__ == "__main__":
    try:
        main(sys.argv[1], *map(Path, sys.argv[2:5]))
    except MnistEdgeError as error:
        sys.exit(str(error))
