"""What is wrong with the files of MNIST is named, each cause by its own words."""

import gzip
import shutil
from pathlib import Path

import pytest
from torchvision.datasets import MNIST

from mnist_edge.errors import UserError
from mnist_edge.training.datasets.mnist import load_test_data
from mnist_edge.training.datasets.mnist_files import FILES, unpack
from tests.conftest import DATA
from tests.training.datasets.test_mnist import IMAGES, LABELS, idx

PACKED = f"{LABELS}.gz"
SHORTEST = (DATA / "MNIST" / "raw" / PACKED).read_bytes()


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with MNIST's own files, packed, and nowhere to download them from."""
    monkeypatch.setattr(MNIST, "mirrors", [(tmp_path / "nowhere").as_uri() + "/"])
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in FILES:
        (raw / name).symlink_to(DATA / "MNIST" / "raw" / name)
    return tmp_path / "data"


def test_the_files_are_those_of_torchvision() -> None:
    assert list(FILES.items()) == MNIST.resources


def message(data_dir: Path) -> str:
    with pytest.raises(UserError) as caught:
        load_test_data(data_dir)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (SHORTEST[:2000], "is truncated after 2,000 bytes"),
        (SHORTEST[:2000] + bytes(500) + SHORTEST[2500:], "is damaged ("),
        (b"<html>404</html>", "is not a gzip file: it begins with 3c68746d"),
        (b"", "is not a gzip file: it begins with nothing"),
        (gzip.compress(b"Fashion", mtime=0), "is not MNIST's: its MD5 is "),
    ],
)
def test_a_packed_file_that_is_not_mnists_is_refused_and_kept(content: bytes, wrong: str, data: Path) -> None:
    packed = data / "MNIST" / "raw" / PACKED
    packed.unlink()
    packed.write_bytes(content)
    assert f"{packed} {wrong}" in message(data)
    assert packed.read_bytes() == content


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "content", "wrong"),
    [
        (LABELS, idx((100, 100), bytes(10_000)), "begins with 00000802, expected 00000801"),
        (IMAGES, idx((7_840_000,), bytes(7_840_000)), "begins with 00000801, expected 00000803"),
        (IMAGES, b"", "begins with nothing, expected 00000803"),
        (IMAGES, b"\x1f\x8b", "begins with 1f8b, expected 00000803"),
        (IMAGES, idx((10_000, 28, 28), bytes(1_000)), "is truncated: 1,016 of 7,840,016 bytes"),
        (IMAGES, idx((1, 28, 28), bytes(1_000)), "is 1,016 bytes long, expected 800 by its header"),
        (IMAGES, idx((0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF), b"0"), "is truncated: 17 of "),
        (IMAGES, bytes([0, 0, 13, 3]) + bytes(100), "begins with 00000d03"),
    ],
)
def test_an_unpacked_file_that_is_not_mnists_is_named(name: str, content: bytes, wrong: str, data: Path) -> None:
    unpacked = data / "MNIST" / "raw" / name
    unpacked.write_bytes(content)
    found = message(data)
    assert f"{unpacked} {wrong}" in found
    assert "remove it" in found
    unpacked.unlink()
    unpack(data)
    assert unpacked.stat().st_size > 10_000


def test_missing_files_are_named(data: Path) -> None:
    (data / "MNIST" / "raw" / PACKED).unlink()
    assert f"{PACKED} is missing and can't be downloaded (" in message(data)
    shutil.rmtree(data)
    assert "the four files are missing and can't be downloaded (" in message(data)
    assert not data.exists()


@pytest.mark.parametrize("given", ["data/MNIST/raw", "data/MNIST", "."])
def test_a_folder_above_or_below_the_right_one_is_answered_with_the_right_one(given: str, data: Path) -> None:
    expected = f"--data-dir must be the folder that holds MNIST/raw, here {data}"
    assert expected in message(data.parent / given)
    assert {path.name for path in data.rglob("*") if path.is_dir()} == {"MNIST", "raw"}


@pytest.mark.parametrize("folder", [".", "raw", "MNIST"])
def test_files_beside_the_right_folder_are_found(folder: str, data: Path) -> None:
    (data / "flat" / folder).mkdir(parents=True, exist_ok=True)
    for path in (data / "MNIST" / "raw").iterdir():
        shutil.move(path, data / "flat" / folder)
    expected = f"it is in {data / 'flat' / folder}: move the files of MNIST to {data / 'flat' / 'MNIST' / 'raw'}"
    assert expected in message(data / "flat")
