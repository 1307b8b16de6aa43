"""A format whose artifacts are their own metadata: what a contract asks of the runner can be tried without a model."""

from pathlib import Path

from mnist_edge.artifact.bundle import Bundle, metadata_of
from mnist_edge.artifact.contract import Contract
from mnist_edge.formats.base import FormatSpec
from mnist_edge.formats.scheme import FLOAT32
from mnist_edge.runtime.recognizer import Recognizer

FAKE = FormatSpec(
    name="fake",
    suffix=".fake",
    module="tests.runtime.fake_format",
    schemes=(FLOAT32,),
    runs_on="tests",
    run_packages=(),
)


def write(path: Path, contract: Contract) -> Path:
    """Write an artifact with this contract and the test vectors of the built-in model."""
    metadata = metadata_of(contract, Recognizer().runner.test_vectors)
    text = "\n".join(f"{key}\t{value}" for key, value in metadata.items())
    path.write_bytes(Bundle.of_file(text.encode()).with_checksum().data)
    return path
