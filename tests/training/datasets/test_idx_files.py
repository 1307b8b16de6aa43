import dataclasses
import gzip
from pathlib import Path

import numpy as np
import pytest
import torchvision

from mnist_edge.errors import UserError
from mnist_edge.training.datasets.registry import DATASETS, load_test_data, load_training_data

PREFIXES = {
    "fashion-mnist": ("train", "t10k"),
    "kmnist": ("train", "t10k"),
    "emnist-digits": ("emnist-digits-train", "emnist-digits-test"),
    "emnist-letters": ("emnist-letters-train", "emnist-letters-test"),
}


def idx(array: np.ndarray) -> bytes:
    sizes = b"".join(side.to_bytes(4, "big") for side in array.shape)
    return bytes((0, 0, 8, array.ndim)) + sizes + array.astype(np.uint8).tobytes()


def write(folder: Path, name: str, count: int = 60) -> None:
    """Write files of a data set, whose images have one bright pixel in the row of their label."""
    folder.mkdir(parents=True, exist_ok=True)
    classes, first = len(DATASETS[name].task.labels), 1 if name == "emnist-letters" else 0
    for prefix in PREFIXES[name]:
        labels = np.arange(count) % classes
        images = np.zeros((count, 28, 28))
        images[np.arange(count), labels, 3] = 255
        if name.startswith("emnist"):
            images = images.transpose(0, 2, 1)
        (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images), 1))
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(labels + first))


@pytest.fixture(autouse=True)
def few_for_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, spec in list(DATASETS.items()):
        monkeypatch.setitem(DATASETS, name, dataclasses.replace(spec, validation_size=20))


@pytest.mark.parametrize("name", PREFIXES)
@pytest.mark.parametrize("place", ["", "{torchvision}/raw"])
def test_a_folder_that_has_the_files_is_enough(name: str, place: str, tmp_path: Path) -> None:
    torchvision = {"fashion-mnist": "FashionMNIST", "kmnist": "KMNIST"}.get(name, "EMNIST")
    write(tmp_path / place.format(torchvision=torchvision), name)
    data, test = load_training_data(name, tmp_path), load_test_data(name, tmp_path)
    classes = len(DATASETS[name].task.labels)
    assert (len(data.train), len(data.validation), len(test)) == (40, 20, 60)
    assert test.labels.tolist() == [number % classes for number in range(60)]
    assert all(test.images[index, 0, label, 3] == 1 for index, label in enumerate(test.labels))
    assert sum(data.test_counts) == 60
    assert len(data.digest) == 64


def test_what_is_missing_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("Error downloading x:\n  no route to host")

    monkeypatch.setattr(torchvision.datasets, "KMNIST", refuse)
    with pytest.raises(UserError, match=r"no KMNIST in .*t10k-images-idx3-ubyte\.gz and .* no route to host") as caught:
        load_test_data("kmnist", tmp_path / "data")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t10k-images-idx3-ubyte.gz", b"not gzip", "is damaged"),
        ("t10k-images-idx3-ubyte.gz", gzip.compress(b"\0\0\x08\x03"), "is not an IDX file"),
        (
            "t10k-images-idx3-ubyte.gz",
            gzip.compress(idx(np.zeros((60, 20, 28)))),
            "are 20 × 28 pixels, expected 28 × 28",
        ),
        ("t10k-labels-idx1-ubyte", idx(np.zeros(59)), "60 images and 59 labels"),
        ("t10k-labels-idx1-ubyte", idx(np.full(60, 10)), "is 10, expected 0 to 9"),
    ],
    ids=["not packed", "a header alone", "other sides", "too few labels", "another label"],
)
def test_a_file_that_is_damaged_is_one_line(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    write(tmp_path, "fashion-mnist")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        load_test_data("fashion-mnist", tmp_path)
    assert "\n" not in str(caught.value)
