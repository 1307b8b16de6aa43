"""Measure what the full report costs: at most 3 times the time of evaluating the same file once.

Both are whole calls in one process: the file is opened, checksum and contract are checked, all 10,000 test images are
answered at the batch size of deployment. The trained model's logits, and the program that the exporter writes for it,
which are the same for every such file, are at hand. Measured are all formats and precisions of both released
checkpoints, alternating, and the medians compared.

    python benchmarks/verify_speed.py [--repeats 5]
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import mnist_edge
from mnist_edge.formats.registry import FORMATS
from mnist_edge.parity.evaluate import evaluate, open_model
from mnist_edge.parity.reference import load_reference
from mnist_edge.parity.verify import verify_path
from mnist_edge.training.datasets.registry import load_test_data

ROOT = Path(__file__).parent.parent
BAR = 3.0


def seconds(work: Callable[[], object]) -> float:
    """Return how long `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(architecture: str, repeats: int, formats: Sequence[str] = tuple(FORMATS)) -> dict[str, float]:
    """Return the median ratio of `repeats` alternating runs for each file exported from a released checkpoint."""
    test = load_test_data("mnist", ROOT / "data")
    reference = load_reference(ROOT / "release" / f"mnist-{architecture}.safetensors", ROOT / "data")
    ratios: dict[str, float] = {}

    def report(path: Path) -> object:
        return verify_path(path, reference)

    def once(path: Path) -> object:
        return evaluate(open_model(path), test)

    with tempfile.TemporaryDirectory() as folder:
        precisions = list(dict.fromkeys(precision for name in formats for precision in FORMATS[name].precisions))
        artifacts = mnist_edge.export(reference, formats=formats, precisions=precisions, output=folder)
        for artifact in artifacts:
            path = artifact.path
            runs = [seconds(partial(report, path)) / seconds(partial(once, path)) for _ in range(repeats)]
            ratios[path.name] = statistics.median(runs)
    return ratios


def main() -> int:
    """Print the medians; return 1 where the bar is missed."""
    parser = argparse.ArgumentParser(description="Measure what the full report costs.")
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    ratios = measure("mlp", repeats) | measure("cnn", repeats)
    for name, ratio in ratios.items():
        print(f"report on {name + ',':<20} against evaluating it:   {ratio:.2f}   bar {BAR:.2f}")
    return int(max(ratios.values()) > BAR)


if __name__ == "__main__":
    sys.exit(main())
