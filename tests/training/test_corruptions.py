import pytest
import torch

from mnist_edge.training.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from mnist_edge.training.datasets.splits import Split


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_it_gets_worse_with_severity_and_stays_an_image(kind: str, test_data: Split) -> None:
    images = test_data.images[:400]
    before = images.clone()
    distances = []
    for severity in SEVERITIES:
        worse = corrupt(images, kind, severity)
        assert worse.shape == images.shape
        assert worse.dtype == torch.float32
        assert worse.min() >= 0
        assert worse.max() <= 1
        assert torch.equal(worse, corrupt(images, kind, severity))
        distances.append((worse - images).square().mean().item())
    assert distances[0] > 0
    assert distances == sorted(distances)
    assert torch.equal(images, before)


def test_translations_are_by_whole_pixels_in_four_directions(test_data: Split) -> None:
    images = test_data.images[:4]
    moved = corrupt(images, "translate", 3)
    for index, (down, right) in enumerate(((0, 3), (0, -3), (3, 0), (-3, 0))):
        assert torch.equal(moved[index], torch.roll(images[index], (down, right), dims=(1, 2)))


def test_occlusion_blacks_out_a_square() -> None:
    white = torch.ones(50, 1, 28, 28)
    hidden = 1 - corrupt(white, "occlusion", 3)
    assert (hidden.sum(dim=(1, 2, 3)) == 64).all()
