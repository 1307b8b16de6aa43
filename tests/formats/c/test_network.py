"""Where a window sees its input, against the definition, value by value."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mnist_edge.formats.c.network import Layer, Window, check_chain, pixel


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """Return a window of a convolution."""

    def two(low: int, high: int) -> tuple[int, int]:
        return draw(st.integers(low, high)), draw(st.integers(low, high))

    size, outputs = (*two(1, 6), 2), (*two(1, 4), 3)
    window = Window(size, two(1, 3), two(1, 3), two(1, 2), two(0, 4), outputs)
    try:
        window.check("Conv2d")
    except ValueError:
        assume(False)
    return window


@given(windows())
def test_each_place_of_the_kernel_sees_what_the_definition_says(window: Window) -> None:
    height, width, channels = window.size
    values = np.arange(1, height * width * channels + 1).reshape(1, height, width, channels)
    padded = values if window.around is None else np.pad(values, window.around, constant_values=-1)
    places = list(window.places())
    assert [place[:2] for place in places] == list(np.ndindex(window.kernel))
    for row, column, part in places:
        expected = np.full((1, *window.outputs[:2], channels), -1)
        for down, right in np.ndindex(window.outputs[:2]):
            y = down * window.stride[0] + row * window.dilation[0] - window.padding[0]
            x = right * window.stride[1] + column * window.dilation[1] - window.padding[1]
            if 0 <= y < height and 0 <= x < width:
                expected[0, down, right] = values[0, y, x]
        np.testing.assert_array_equal(padded[part], expected)


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize(("kernel", "padding", "outputs"), [(1, 1, 4), (1, 1, 6), (2, 2, 4), (3, 3, 9)])
def test_only_a_convolution_has_windows_in_the_padding_alone(
    side: int, kernel: int, padding: int, outputs: int
) -> None:
    def sides(number: int, other: int) -> tuple[int, int]:
        return (number, other) if side == 0 else (other, number)

    window = Window((4, 4, 2), sides(kernel, 1), (1, 1), (1, 1), sides(padding, 0), (*sides(outputs, 4), 2))
    fields = json.loads(json.dumps(Layer("layer", "Conv2d", window).to_fields()))
    assert Layer.from_fields(fields).window == window
    for kind in ("MaxPool2d", "AvgPool2d", "Linear", "BatchNorm"):
        with pytest.raises(ValueError, match="a window lies outside its input"):
            Layer.from_fields({**fields, "kind": kind})


@pytest.mark.parametrize("side", [0, 1])
def test_no_window_lies_behind_the_padding(side: int) -> None:
    for outputs, fits in ((6, True), (7, False)):
        sides = (outputs, 6) if side == 0 else (6, outputs)
        window = Window((4, 4, 2), (1, 1), (1, 1), (1, 1), (1, 1), (*sides, 2))
        if fits:
            window.check("Conv2d")
        else:
            with pytest.raises(ValueError, match="a window lies outside its input"):
                window.check("Conv2d")


def test_a_window_cannot_ask_for_memory_by_its_padding() -> None:
    """Two places far from each other, whose padding has 2³⁸ values."""
    window = Window((1, 1, 1), (2, 2), (1, 1), (1 << 19, 1 << 19), (0, 0), (1, 1, 1))
    with pytest.raises(ValueError, match="has more than 16,777,216 values with its padding"):
        window.check("MaxPool2d")


def test_a_network_can_take_no_more_time_than_that_of_a_small_one() -> None:
    window = Window((199, 199, 1), (100, 100), (1, 1), (1, 1), (0, 0), (100, 100, 1))
    pools = [Layer("pool", "MaxPool2d", window)]
    window.check("MaxPool2d")
    check_chain([*pools, Layer("linear", "Linear", pixel(10_000, 10))])
    pools = [Layer("convolution", "Conv2d", dataclasses.replace(window, outputs=(100, 100, 11)))]
    with pytest.raises(ValueError, match="it needs more than 1,000,000,000 products for an image"):
        check_chain([*pools, Layer("linear", "Linear", pixel(110_000, 10))])
