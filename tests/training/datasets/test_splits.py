import torch
from torch.utils.data import DataLoader

from mnist_edge.training.datasets.splits import Split, TrainingData, batches


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
