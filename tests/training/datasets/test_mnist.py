import errno
import functools
import gzip
import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from torchvision.datasets import MNIST
from torchvision.transforms import ToTensor

from mnist_edge.errors import UserError
from mnist_edge.training.datasets.mnist import load_test_data, load_training_data
from mnist_edge.training.datasets.registry import DATASETS
from mnist_edge.training.datasets.splits import Split, TrainingData
from tests import warm
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


NAMES = tuple(name.removesuffix(".gz") for name, _ in MNIST.resources)
IMAGES, LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A folder with MNIST's own files, packed."""
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in NAMES:
        (raw / f"{name}.gz").symlink_to(DATA / "MNIST" / "raw" / f"{name}.gz")
    return raw


def idx(shape: tuple[int, ...], data: bytes) -> bytes:
    """Return an IDX file of bytes (http://yann.lecun.com/exdb/mnist)."""
    return bytes([0, 0, 8, len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape) + data


@pytest.mark.slow
def test_files_that_are_there_are_read_without_importing_torchvision() -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from mnist_edge.training.datasets.registry import load_test_data, load_training_data\n"
        f"load_test_data('mnist', Path({str(DATA)!r})), load_training_data('mnist', Path({str(DATA)!r}))\n"
        "print('torch' in sys.modules, 'torchvision' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "True False\n"


@pytest.mark.slow
def test_first_runs_at_once_all_read_the_files(raw: Path) -> None:
    program = (
        "import sys, pathlib; from mnist_edge.training.datasets.mnist import load_test_data\n"
        "sys.stdin.read(1)\n"
        "print(len(load_test_data(pathlib.Path(sys.argv[1]))))"
    )
    command = [*warm.PYTHON, "-c", program, str(raw.parent.parent)]
    runs = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for run in runs:
        assert run.stdin is not None
        run.stdin.write("x")
        run.stdin.flush()
    assert [run.communicate() for run in runs] == [("10000\n", "")] * 4
    assert {path.name for path in raw.iterdir()} == {*NAMES, *(f"{name}.gz" for name in NAMES)}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (LABELS, idx((10_000,), bytes([9] * 9_999 + [200])), "a label is 200, expected 0 to 9"),
        (LABELS, idx((9_999,), bytes(9_999)), "10,000 images and 9,999 labels"),
        (LABELS, idx((0,), b""), ""),
        (IMAGES, idx((10_000, 14, 14), bytes(1_960_000)), "its images are 14 × 14, expected 28 × 28"),
    ],
    ids=range(4),
)
def test_files_that_are_not_mnist_are_one_line(name: str, content: bytes, message: str, raw: Path) -> None:
    load_test_data(raw.parent.parent)
    (raw / name).write_bytes(content)
    with pytest.raises(UserError, match=f"no MNIST in .*{message}.*remove unpacked ones") as caught:
        load_test_data(raw.parent.parent)
    assert "\n" not in str(caught.value)


def test_too_few_images_to_hold_some_back_are_one_line(raw: Path) -> None:
    load_test_data(raw.parent.parent)
    (raw / "train-images-idx3-ubyte").write_bytes(idx((5_000, 28, 28), bytes(5_000 * 784)))
    (raw / "train-labels-idx1-ubyte").write_bytes(idx((5_000,), bytes(5_000)))
    with pytest.raises(UserError, match="5,000 images and 5,000 labels, expected 5,001 or more"):
        load_training_data(raw.parent.parent)


@pytest.mark.parametrize("name", [IMAGES, f"{IMAGES}.gz"])
def test_a_pipe_a_device_and_a_file_without_end_are_refused(name: str, raw: Path) -> None:
    path = raw / name
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/zero")
    with pytest.raises(UserError, match="is not a file"):
        load_test_data(raw.parent.parent)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(UserError, match="is not a file"):
        load_test_data(raw.parent.parent)
    path.unlink()
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(UserError, match="longer than"):
        load_test_data(raw.parent.parent)


def test_a_full_disk_while_unpacking_leaves_nothing(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = sorted(raw.iterdir())
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"cannot write .*: No space left on device"):
        load_test_data(raw.parent.parent)
    assert sorted(raw.iterdir()) == before
