import math

import numpy as np
import pytest
import torch

from mnist_edge.training.strokes import GLYPH_SIDE, HALF_WIDTHS, draw_glyphs, draw_lines


def test_a_line_is_as_long_and_as_wide_as_asked() -> None:
    image = draw_lines(torch.tensor([[[6.0, 14.0, 22.0, 14.0]]]), torch.tensor([1.5]))[0, 0]
    assert image[:, 14].sum() == 3
    assert image[13:15, 6:22].min() == 1
    assert image.sum() == pytest.approx(16 * 3 + math.pi * 1.5**2, rel=0.02)
    assert draw_lines(torch.tensor([[[5.0, 5.0, 5.0, 5.0]]]), torch.tensor([1.0])).sum() > 2  # a dot


def test_a_glyph_is_in_the_middle_as_large_as_mnists_and_never_twice_the_same() -> None:
    drawn = draw_glyphs(["00 40 40 26,13 43"] * 40 + ["20 26"] * 25, np.random.default_rng(0))
    assert drawn.shape == (65, 1, 28, 28)
    assert drawn.dtype == torch.float32
    assert drawn.min() == 0
    assert drawn.amax(dim=(1, 2, 3)).min() > 0.7
    assert len({image.numpy().tobytes() for image in drawn}) == 65
    rows = (drawn.amax(dim=(1, 3)) > 0.5).sum(dim=1)
    assert rows.min() >= 14
    assert rows.max() <= GLYPH_SIDE + 2 * HALF_WIDTHS[1] + 1
    assert torch.equal(drawn, draw_glyphs(["00 40 40 26,13 43"] * 40 + ["20 26"] * 25, np.random.default_rng(0)))


def test_a_point_named_twice_is_a_corner_in_round_strokes_too() -> None:
    """Round strokes pass a corner that is named once in a bow, whose lines turn by little at each point."""
    rng = np.random.default_rng(3)
    bowed, cornered = (draw_glyphs([glyph] * 200, rng).mean(dim=0)[0] for glyph in ("06 00 40", "06 00 00 40"))
    assert (bowed - cornered).abs().max() > 0.2
