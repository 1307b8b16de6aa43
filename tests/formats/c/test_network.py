"""Where a window sees its input, against the definition, value by value."""

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from mnist_edge.formats.c.network import Window


@st.composite
def windows(draw: st.DrawFn) -> Window:
    def two(low: int, high: int) -> tuple[int, int]:
        return draw(st.integers(low, high)), draw(st.integers(low, high))

    size, outputs = (*two(1, 6), 2), (*two(1, 4), 3)
    window = Window(size, two(1, 3), two(1, 3), two(1, 2), two(0, 2), outputs)
    try:
        window.check()
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
