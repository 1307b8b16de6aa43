import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import find_objects, label

from mnist_edge.preprocessing.mnist_v3.connected_components import label_components, long_runs


@st.composite
def masks(draw: st.DrawFn) -> np.ndarray:
    shape = (draw(st.integers(1, 20)), draw(st.integers(1, 20)))
    density = draw(st.floats(0, 1))
    return np.random.default_rng(draw(st.integers(0, 10_000))).random(shape) < density


@given(masks())
def test_components_are_those_that_scipy_labels(mask: np.ndarray) -> None:
    labels, count = label(mask, np.ones((3, 3)))
    components = label_components(mask)
    assert len(components) == count
    masks_of_each = [components.mask_of(np.arange(count) == number) for number in range(count)]
    ours = {shape.tobytes() for shape in masks_of_each}
    assert ours == {(labels == number + 1).tobytes() for number in range(count)}
    boxes = {(rows.start, rows.stop, columns.start, columns.stop) for rows, columns in find_objects(labels)}
    found = zip(components.top, components.bottom, components.left, components.right, strict=True)
    assert {tuple(int(edge) for edge in box) for box in found} == boxes
    assert [int(area) for area in components.area] == [int(shape.sum()) for shape in masks_of_each]
    sides = [(shape[0], shape[-1], shape[:, 0], shape[:, -1]) for shape in masks_of_each]
    expected = [sum(int(side.sum()) for side in each) for each in sides]
    assert [int(pixels) for pixels in components.border_pixels] == expected


def test_long_runs_are_kept_whole() -> None:
    mask = np.array([[1, 1, 1, 0, 1], [0, 1, 1, 1, 1]], dtype=bool)
    assert long_runs(mask, 3).astype(int).tolist() == [[1, 1, 1, 0, 0], [0, 1, 1, 1, 1]]
