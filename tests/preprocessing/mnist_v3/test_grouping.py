import numpy as np
import pytest

from mnist_edge.errors import NoDigitError
from mnist_edge.preprocessing.mnist_v3.grouping import MAX_GROUPS, group_digits
from mnist_edge.types import Box, GrayImage


def picture(*boxes: Box, size: tuple[int, int] = (100, 200)) -> GrayImage:
    ink = np.zeros(size, np.float32)
    for left, top, right, bottom in boxes:
        ink[top:bottom, left:right] = 1
    return ink


def boxes_of(ink: GrayImage) -> list[list[Box]]:
    return [[group.box for group in line] for line in group_digits(ink, ink > 0.5)]


def test_digits_are_in_reading_order() -> None:
    first = [(20, 10, 30, 40), (50, 12, 60, 42), (80, 9, 90, 39)]
    second = [(15, 60, 25, 90), (45, 62, 55, 92)]
    assert boxes_of(picture(*second[::-1], *first[::-1])) == [first, second]


def test_the_bar_of_a_five_belongs_to_the_body_under_it() -> None:
    body, bar = (20, 30, 40, 60), (22, 20, 42, 26)
    assert boxes_of(picture(body, bar, (70, 20, 85, 60))) == [[(20, 20, 42, 60), (70, 20, 85, 60)]]


def test_two_halves_of_a_digit_above_each_other_are_one() -> None:
    assert boxes_of(picture((20, 20, 40, 36), (21, 44, 41, 60), (70, 20, 85, 60))) == [
        [(20, 20, 41, 60), (70, 20, 85, 60)]
    ]


def test_a_low_part_close_beside_another_is_one_with_it_and_two_digits_are_not() -> None:
    assert boxes_of(picture((20, 20, 28, 46), (30, 34, 44, 60), (70, 20, 85, 60), (87, 20, 100, 60))) == [
        [(20, 20, 44, 60), (70, 20, 85, 60), (87, 20, 100, 60)]
    ]


def test_a_mark_that_is_near_to_no_digit_is_left_out() -> None:
    assert boxes_of(picture((20, 20, 35, 60), (60, 20, 75, 60), (100, 30, 106, 38))) == [
        [(20, 20, 35, 60), (60, 20, 75, 60)]
    ]


def test_a_low_digit_is_kept_and_a_dash_and_a_comma_are_left_out() -> None:
    digits = [(20, 20, 35, 60), (60, 20, 75, 60)]
    low, dash, comma = (100, 36, 128, 49), (150, 38, 180, 43), (50, 80, 55, 93)
    assert boxes_of(picture(*digits, low, dash, comma)) == [[*digits, low]]


def test_a_fragment_is_joined_to_the_nearest_digit_and_a_speck_is_left_out() -> None:
    assert boxes_of(picture((20, 20, 35, 60), (60, 20, 75, 60), (52, 30, 57, 38), (120, 50, 122, 52))) == [
        [(20, 20, 35, 60), (52, 20, 75, 60)]
    ]


def test_what_reaches_in_from_the_edge_and_a_frame_are_not_digits() -> None:
    digits: list[Box] = [(60, 35, 75, 65), (90, 35, 105, 65)]
    assert boxes_of(picture(*digits, (0, 0, 20, 100))) == [digits]
    frame: list[Box] = [(40, 10, 140, 12), (40, 88, 140, 90), (40, 10, 42, 90), (138, 10, 140, 90)]
    assert boxes_of(picture(*digits, *frame)) == [digits]


def test_digits_that_fill_the_picture_are_digits() -> None:
    assert boxes_of(picture((0, 0, 200, 100))) == [[(0, 0, 200, 100)]]


def test_digits_close_above_each_other_are_not_one() -> None:
    first, second = [(20, 10, 30, 40), (50, 10, 60, 40)], [(20, 44, 30, 74), (50, 44, 60, 74)]
    assert boxes_of(picture(*first, *second)) == [first, second]


def test_a_low_part_that_is_not_over_a_digit_is_one_of_its_own() -> None:
    """As the bar of a five is over its body: in as many of the same columns, and in other rows."""
    low, *tall = [(20, 30, 40, 46), (60, 40, 75, 80), (90, 40, 105, 80)]
    assert boxes_of(picture(low, *tall)) == [[low], tall]


def test_one_long_stroke_does_not_join_two_lines() -> None:
    first = [(20, 10, 30, 40), (50, 10, 60, 40), (80, 10, 90, 75)]
    second = [(20, 55, 30, 85), (50, 55, 60, 85), (110, 55, 120, 85)]
    assert boxes_of(picture(*first, *second)) == [first, second]


def test_what_lies_inside_the_box_of_a_group_but_is_of_another_is_left_out() -> None:
    """A digit under the bar of a seven that reaches over it."""
    ink = picture((20, 20, 80, 28), (20, 20, 30, 90), (50, 33, 70, 90))
    mask = ink > 0.5
    (line,) = group_digits(ink, mask)
    assert [float(group.ink.sum()) for group in line] == [60 * 8 + 10 * 62, 20 * 57]


def test_the_ink_of_a_group_is_its_own() -> None:
    ink = picture((20, 20, 35, 60), (60, 20, 75, 60))
    (line,) = group_digits(ink, ink > 0.5)
    for group in line:
        assert group.ink.shape == (42, 17)
        assert group.ink.sum() == 15 * 40
        assert (group.left, group.top) == (group.box[0] - 1, group.box[1] - 1)


def test_a_texture_is_not_a_number() -> None:
    ink = np.zeros((300, 300), np.float32)
    for top in range(2, 296, 14):
        for left in range(2, 296, 14):
            ink[top : top + 8, left : left + 4] = 1
    with pytest.raises(NoDigitError, match=f"expected at most {MAX_GROUPS}"):
        group_digits(ink, ink > 0.5)
