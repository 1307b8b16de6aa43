import torch

from mnist_edge.training.checkpoint import Checkpoint
from mnist_edge.training.glyphs import DRAWN, LETTERS, RARE_DIGITS, SHAPES, drawn_digits, drawn_outliers
from mnist_edge.training.loop import predict_logits


def test_the_points_are_on_the_grid() -> None:
    for glyph in (*LETTERS, *SHAPES, *(form for forms in RARE_DIGITS.values() for form in forms)):
        for stroke in glyph.split(","):
            points = stroke.split()
            assert len(points) > 1
            assert all(len(point) == 2 and point[0] in "01234" and point[1] in "0123456" for point in points)


def test_the_drawn_digits_are_mostly_read_as_what_they_are(released: Checkpoint) -> None:
    model = released.build()
    for digit, drawn in drawn_digits().items():
        answers = predict_logits(model, drawn).argmax(dim=1)
        assert (answers == digit).float().mean() > 0.6, digit  # rare forms are what the model still reads worst


def test_outliers_are_images_of_many_kinds() -> None:
    drawn = drawn_outliers()
    assert DRAWN * 0.97 < len(drawn) <= DRAWN
    assert drawn.shape[1:] == (1, 28, 28)
    assert 0 <= drawn.min() <= drawn.max() <= 1
    assert len(torch.unique(drawn, dim=0)) == len(drawn)
