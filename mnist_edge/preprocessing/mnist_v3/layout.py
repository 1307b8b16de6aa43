"""Recognition of images that already are as MNIST's, which go to the model unchanged."""

import numpy as np

from mnist_edge.preprocessing.mnist_v3.size_normalization import CENTER, DIGIT_SIDE, INPUT_SIDE
from mnist_edge.types import AnyArray, GrayImage, Images

MIN_PEAK_INK = 0.9
"""The ink of every digit of MNIST is at least this strong somewhere, in [0, 1]."""

_MOMENTS = np.ascontiguousarray(
    np.stack([np.ones((INPUT_SIDE, INPUT_SIDE)), *(np.indices((INPUT_SIDE, INPUT_SIDE)) + 0.5)]).reshape(3, -1),
    dtype=np.float32,
)
"""For each pixel of the field: 1, and its row and column from the upper left corner, float32 `[3, 784]`."""

_WHITE = np.float32(255)

_ONE_BITS = np.float32(1).view(np.uint32).item()
"""The bits of 1.0. Those of every float in [0, 1] are at most that, those of others and of NaN are more (IEEE 754)."""


def as_model_input(array: AnyArray) -> Images | None:
    """Return an array as the model's input, bit for bit, where it already is as MNIST's images are.

    Args:
        array: of any shape and dtype; 28×28 floats in [0, 1] or uint8 may be as MNIST's.

    Returns:
        float32 `[1, 1, 28, 28]` in [0, 1], or None where the array has to be prepared as a picture is.
    """
    if array.shape != (INPUT_SIDE, INPUT_SIDE):
        return None
    kind = array.dtype.kind
    if kind == "f":
        field = np.ascontiguousarray(array, dtype=np.float32)
        bits = field.view(np.uint32)
        if bits.item(bits.argmax()) > _ONE_BITS:
            return None
    elif kind == "u" and array.itemsize == 1:
        field = array.astype(np.float32, order="C")
        field /= _WHITE
    else:
        return None
    return field[np.newaxis, np.newaxis] if is_mnist_layout(field) else None


def is_mnist_layout(field: GrayImage) -> bool:
    """Return whether an image is laid out as MNIST's: light ink in a 20×20 box, its center of mass in the middle.

    For an array this is most of what it costs beside the model itself, so it makes few calls of numpy.

    Args:
        field: float32 `[28, 28]` in [0, 1]; images of other shapes are not.
    """
    if field.shape != (INPUT_SIDE, INPUT_SIDE):
        return False
    mass, row, column = _MOMENTS.dot(field.ravel()).tolist()
    middle = CENTER * mass
    # A pixel off is allowed: digits were shifted by whole pixels.
    if not (abs(row - middle) <= mass and abs(column - middle) <= mass and field.item(field.argmax()) >= MIN_PEAK_INK):
        return False
    inked = field.astype(np.bool_)
    by_row, by_column = inked.tobytes(), inked.tobytes("F")
    top = by_row.find(1) // INPUT_SIDE
    height = by_row.rfind(1) // INPUT_SIDE - top + 1
    width = by_column.rfind(1) // INPUT_SIDE - by_column.find(1) // INPUT_SIDE + 1
    return top > 0 and _fills_box(height, width, top + height)


def _fills_box(height: int, width: int, bottom: int) -> bool:
    """Return whether ink of a height and width, which ends above the row `bottom`, fills MNIST's box of 20 pixels.

    A few of MNIST's digits were placed so low, by their center of mass, that their last row was cut off.
    """
    return max(height, width) == DIGIT_SIDE or (
        bottom == INPUT_SIDE and height == DIGIT_SIDE - 1 and width < DIGIT_SIDE
    )
