import pytest
import torch
from torch.utils.data import DataLoader
from torchvision.transforms import ToTensor

from mnist_edge.parity.reference import make_reference
from mnist_edge.training.checkpoint import Checkpoint
from mnist_edge.training.datasets.registry import load_test_data, load_training_data
from mnist_edge.training.datasets.splits import Split, TrainingData, batches, steps_per_epoch
from tests.conftest import DATA


def test_batches_come_in_the_order_of_a_plain_dataloader(few: TrainingData) -> None:
    class OneByOne(Split):
        __getitems__ = None  # type: ignore[assignment]

    plain = DataLoader(
        OneByOne(few.train.images, few.train.labels), 32, shuffle=True, generator=torch.Generator().manual_seed(3)
    )
    ours = batches(few.train, 32, torch.Generator().manual_seed(3))
    assert len(plain) == len(ours) == 63
    for _ in range(2):
        for (images, labels), (expected_images, expected_labels) in zip(ours, plain, strict=True):
            assert torch.equal(images, expected_images)
            assert torch.equal(labels, expected_labels)


@pytest.mark.parametrize(("images", "size"), [(8, 4), (9, 4), (10, 4), (3, 4), (1, 4), (3, 1)])
def test_the_steps_of_an_epoch_are_its_batches(images: int, size: int, few: TrainingData) -> None:
    part = Split(few.train.images[:images], few.train.labels[:images])
    assert steps_per_epoch(images, size) == len(list(batches(part, size, torch.Generator())))


def test_bytes_are_scaled_once_and_when_somebody_asks() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).reshape(4, 1, 8, 8)
    split = Split(pixels, torch.arange(4))
    assert "images" not in vars(split)
    expected = torch.cat([ToTensor()(pixels[index].permute(1, 2, 0).numpy()) for index in range(4)]).unsqueeze(1)
    assert split.images.dtype == torch.float32
    assert torch.equal(split.images, expected)
    assert split.images is split.images
    floats = Split(expected, split.labels)
    assert floats.images is expected


def test_who_measures_scales_no_training_image(released: Checkpoint) -> None:
    data, test = load_training_data("mnist", DATA), load_test_data("mnist", DATA)
    make_reference(released, test, data)
    assert "images" not in vars(data.train)
