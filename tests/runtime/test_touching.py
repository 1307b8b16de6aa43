"""Where a group of ink is cut: what the model says of the pieces, their shapes, and what cutting costs."""

import math

import numpy as np
import pytest

from mnist_edge.preprocessing.result import Piece
from mnist_edge.runtime.prediction import Scored
from mnist_edge.runtime.touching import split_group

SURE: Scored = (0, (1.0,), 9.0, True)
"""What the model says of a digit."""


def piece(
    start: int, stop: int, *, aspect: float = 0.58, height: float = 1.0, strokes: float = 0.0, value: float = 0.0
) -> Piece:
    return Piece(start, stop, (start, 0, stop, 1), np.full((1, 1, 1, 1), value, np.float32), aspect, height, strokes)


def cuts(pieces: list[Piece], answers: dict[tuple[int, int], Scored], height_share: float = 1.0) -> list[int]:
    """Return where the pieces that are taken stop; a piece without an answer is one that the model is sure of."""
    found = split_group(pieces, lambda asked: answers.get((asked.start, asked.stop), SURE), height_share)
    assert [part.start for part, _ in found] == [0, *(part.stop for part, _ in found[:-1])]
    return [part.stop for part, _ in found]


def three(*, strokes: tuple[float, float] = (0.0, 0.0), heights: tuple[float, float] = (1.0, 1.0)) -> list[Piece]:
    """Return the pieces of a group that is two digits, cut at one of two places, or none."""
    first, second = ([piece(0, at, strokes=strokes[at - 1], height=heights[at - 1]), piece(at, 3)] for at in (1, 2))
    return sorted([*first, *second, piece(0, 3, aspect=1.4)], key=lambda each: each.stop)


@pytest.mark.parametrize("better", [1, 2])
def test_the_cut_is_where_it_goes_through_less_ink(better: int) -> None:
    assert cuts(three(strokes=(0.0, 1.0) if better == 1 else (1.0, 0.0)), {}) == [better, 3]


@pytest.mark.parametrize("better", [1, 2])
def test_a_piece_is_not_much_lower_than_its_group(better: int) -> None:
    assert cuts(three(heights=(1.0, 0.6) if better == 1 else (0.6, 1.0)), {}) == [better, 3]
    assert cuts(three(heights=(0.92, 1.0), strokes=(0.0, 0.1)), {}) == [1, 3]  # this much is no lower at all


@pytest.mark.parametrize("better", [1, 2])
def test_a_piece_is_about_as_wide_as_digits_are(better: int) -> None:
    pieces = [
        *(piece(0, at, aspect=0.58 if at == better else 0.3) for at in (1, 2)),
        *(piece(at, 3, aspect=0.58 if at == better else 0.9) for at in (1, 2)),
    ]
    assert cuts(sorted(pieces, key=lambda each: each.stop), {}) == [better, 3]


@pytest.mark.parametrize("better", [1, 2])
@pytest.mark.parametrize("worse", [(0, (0.4,), 9.0, False), (0, (1.0,), -4.0, False), (0, (0.0,), -1e6, False)])
def test_the_cut_is_where_the_model_knows_the_pieces(better: int, worse: Scored) -> None:
    """By their probability, by whether they are digits at all, and where both are beyond what can be computed with."""
    assert cuts(three(), {(0, 3 - better): worse}) == [better, 3]


def test_the_whole_path_counts_and_not_its_last_piece() -> None:
    """Both cuts leave the model in doubt of one piece, of the first one's first more than of the second's last."""
    pieces = three()
    answers: dict[tuple[int, int], Scored] = {(0, 1): (0, (0.01,), 9.0, False), (2, 3): (0, (0.9,), 9.0, True)}
    assert cuts(pieces, answers) == [2, 3]


def test_what_no_path_reaches_is_passed_over() -> None:
    assert cuts([piece(0, 1), piece(1, 2), piece(7, 8), piece(2, 3)], {}) == [1, 2, 3]


@pytest.mark.parametrize(("aspect", "height_share", "stops"), [(1.2, 1.0, [2]), (1.4, 1.0, [1, 2]), (1.4, 0.7, [2])])
def test_what_is_as_wide_as_the_widest_digits_stays_whole(aspect: float, height_share: float, stops: list[int]) -> None:
    """Against two pieces of which each is a little better; a low group is less wide than it seems."""
    pieces = [piece(0, 1, aspect=aspect / 2), piece(1, 2, aspect=aspect / 2), piece(0, 2, aspect=aspect)]
    assert cuts(pieces, {}, height_share) == stops


def test_one_digit_is_not_cut_into_two_that_are_hardly_better() -> None:
    pieces = [piece(0, 1, aspect=0.44), piece(1, 2, aspect=0.44), piece(0, 2, aspect=0.88), piece(2, 3)]
    assert cuts(pieces, {}) == [2, 3]


def test_what_the_model_says_of_a_narrow_piece_counts_less() -> None:
    """Two narrow digits of which it is a little in doubt, and a wider one of which it is more in doubt."""
    pieces = [piece(0, 1, aspect=0.35), piece(1, 2, aspect=0.35), piece(0, 2, aspect=0.7), piece(2, 3)]
    doubted: Scored = (0, (1.0,), 1.5, True)
    assert cuts(pieces, {(0, 1): doubted, (1, 2): doubted, (0, 2): (0, (1.0,), 0.0, False)}) == [1, 2, 3]


def test_only_the_whole_of_a_group_is_favored_for_being_one() -> None:
    """Else each cut would bring what is meant for none."""
    pieces = [piece(0, 1, aspect=0.3), piece(1, 2, aspect=0.3), piece(0, 2, aspect=0.6)]
    assert cuts(pieces, {}) == [2]
    assert math.isclose(sum(each.aspect for each in pieces[:2]), pieces[2].aspect)
