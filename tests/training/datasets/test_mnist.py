import functools
import gzip
import hashlib
import shutil
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from torchvision.datasets import MNIST
from torchvision.transforms import ToTensor

from mnist_edge.errors import UserError
from mnist_edge.training.datasets.mnist import load_test_data
from mnist_edge.training.datasets.registry import DATASETS
from mnist_edge.training.datasets.splits import Split, TrainingData
from tests.conftest import DATA


def test_the_splits_of_mnist(training_data: TrainingData, test_data: Split) -> None:
    spec = DATASETS["mnist"]
    parts = training_data.train, training_data.validation, test_data
    assert [len(part) for part in parts] == [55_000, 5_000, 10_000]
    assert spec.validation_size == 5_000
    assert spec.task.input.shape == (1, 28, 28)
    assert spec.task.labels == tuple("0123456789")
    for part in parts:
        assert part.images.shape == (len(part), 1, 28, 28)
        assert part.images.dtype == torch.float32
        assert (part.images.min().item(), part.images.max().item()) == (0, 1)
        assert part.labels.unique().tolist() == list(range(10))
    raw = DATA / "MNIST" / "raw"
    pixels = gzip.decompress((raw / "train-images-idx3-ubyte.gz").read_bytes())[16:]
    labels = gzip.decompress((raw / "train-labels-idx1-ubyte.gz").read_bytes())[8:]
    assert training_data.digest == hashlib.sha256(pixels + labels).hexdigest()


def test_pixels_are_those_of_totensor(test_data: Split) -> None:
    torchvision = MNIST(DATA, train=False, transform=ToTensor())
    for index in range(0, 10_000, 100):
        image, label = torchvision[index]
        assert torch.equal(test_data[index][0], image)
        assert test_data[index][1] == label


def test_missing_files_that_cannot_be_downloaded_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(MNIST, "mirrors", [(tmp_path / "nowhere").as_uri() + "/"])
    with pytest.raises(UserError, match="put the four") as caught:
        load_test_data(tmp_path / "data")
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def mirror() -> Iterator[str]:
    """A server on this machine that has the four files."""
    handler = functools.partial(QuietHandler, directory=str(DATA / "MNIST" / "raw"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def test_missing_files_are_downloaded(mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MNIST, "mirrors", [mirror])
    assert len(load_test_data(tmp_path)) == 10_000


def test_a_damaged_unpacked_file_is_one_line(tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    shutil.copytree(DATA / "MNIST" / "raw", raw)
    load_test_data(tmp_path)
    unpacked = raw / "t10k-images-idx3-ubyte"
    unpacked.write_bytes(unpacked.read_bytes()[:1000])
    with pytest.raises(UserError, match="remove unpacked ones"):
        load_test_data(tmp_path)
