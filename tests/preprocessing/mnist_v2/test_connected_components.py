import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import find_objects, label

from mnist_edge.preprocessing.mnist_v2.connected_components import find_parts, long_runs


@st.composite
def masks(draw: st.DrawFn) -> np.ndarray:
    shape = (draw(st.integers(1, 20)), draw(st.integers(1, 20)))
    density = draw(st.floats(0, 1))
    return np.random.default_rng(draw(st.integers(0, 10_000))).random(shape) < density


@given(masks())
def test_parts_are_those_that_scipy_labels(mask: np.ndarray) -> None:
    labels, count = label(mask, np.ones((3, 3)))
    parts = find_parts(mask)
    assert len(parts) == count
    painted = [parts.paint(np.arange(count) == part) for part in range(count)]
    ours = {shape.tobytes() for shape in painted}
    assert ours == {(labels == part + 1).tobytes() for part in range(count)}
    boxes = {(rows.start, rows.stop, columns.start, columns.stop) for rows, columns in find_objects(labels)}
    found = zip(parts.top, parts.bottom, parts.left, parts.right, strict=True)
    assert {tuple(int(edge) for edge in box) for box in found} == boxes
    assert [int(area) for area in parts.area] == [int(shape.sum()) for shape in painted]
    sides = [(shape[0], shape[-1], shape[:, 0], shape[:, -1]) for shape in painted]
    assert [int(contact) for contact in parts.contact] == [sum(int(side.sum()) for side in each) for each in sides]


def test_long_runs_are_kept_whole() -> None:
    mask = np.array([[1, 1, 1, 0, 1], [0, 1, 1, 1, 1]], dtype=bool)
    assert long_runs(mask, 3).astype(int).tolist() == [[1, 1, 1, 0, 0], [0, 1, 1, 1, 1]]
