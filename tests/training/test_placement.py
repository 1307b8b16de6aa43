import torch
from torch import Generator

from mnist_edge.training.placement import place

IMAGES = torch.rand(400, 3, 10, 20, generator=Generator().manual_seed(0))


def test_a_share_is_mirrored_and_the_rest_is_as_it_was() -> None:
    found = place(IMAGES, 0.0, 0.25, Generator().manual_seed(1))
    mirrored = [torch.equal(new, old.flip(2)) for new, old in zip(found, IMAGES, strict=True)]
    same = [torch.equal(new, old) for new, old in zip(found, IMAGES, strict=True)]
    assert 70 <= sum(mirrored) <= 130
    assert sum(mirrored) + sum(same) == 400


def test_images_move_by_whole_pixels_up_to_the_share_and_their_edge_is_repeated() -> None:
    pixel = torch.zeros(400, 1, 10, 20)
    pixel[:, :, 5, 10] = 1
    found = place(pixel, 0.2, 0.0, Generator().manual_seed(1))
    rows, columns = found[:, 0].amax(2).argmax(1), found[:, 0].amax(1).argmax(1)
    assert (found.sum(dim=(1, 2, 3)) == 1).all()
    assert sorted(set(rows.tolist())) == [3, 4, 5, 6, 7]
    assert sorted(set(columns.tolist())) == [6, 7, 8, 9, 10, 11, 12, 13, 14]
    assert torch.equal(place(torch.ones(9, 1, 4, 4), 1.0, 0.0, Generator()), torch.ones(9, 1, 4, 4))
