"""Arrays as pictures.

An array is `[height, width]` (grey), `[height, width, 3]` (RGB) or `[height, width, 4]` (RGBA), of dtype uint8 (0 to
255), bool, uint16 (grey only, 0 to 65,535) or a float (in [0, 1]).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnist_edge.preprocessing.mnist_v2.pipeline import STRONG
from mnist_edge.preprocessing.mnist_v2.size_normalization import CENTRE, FIELD, fills_box

_MOMENTS = np.ascontiguousarray(
    np.stack([np.ones((FIELD, FIELD)), *(np.indices((FIELD, FIELD)) + 0.5)]).reshape(3, -1), dtype=np.float32
)
"""For each pixel of the field: 1, and its row and column from the upper left corner, float32 `[3, 784]`."""

_WHITE = np.float32(255)

_ONE = np.float32(1).view(np.uint32).item()
"""The bits of 1.0. Those of every float in [0, 1] are at most that, those of others and of NaN are more (IEEE 754)."""


def from_array(array: NDArray[Any]) -> Image.Image:
    """Return an array as a picture.

    Raises:
        ValueError: its shape or dtype is none of those above, it is empty, or a float is outside [0, 1].
    """
    shape, kind = array.shape, array.dtype
    if not (len(shape) == 2 or (len(shape) == 3 and shape[2] in {3, 4})) or 0 in shape:
        raise ValueError(f"an array of shape {list(shape)} is no picture: expected [H, W], [H, W, 3] or [H, W, 4]")
    if kind == np.uint8:
        return Image.fromarray(array)
    if kind == np.bool_:
        return Image.fromarray(array.astype(np.uint8) * 255)
    if kind == np.uint16 and len(shape) == 2:
        return Image.fromarray(array)
    if not np.issubdtype(kind, np.floating):
        raise ValueError(f"an array of {kind} is no picture: expected uint8, bool, uint16 (grey) or a float in [0, 1]")
    if not (array.min() >= 0 and array.max() <= 1):  # also where there is a NaN
        raise ValueError(f"an array of {kind} must be in [0, 1]: divide by the value of white")
    if len(shape) == 2:
        return Image.fromarray(array.astype(np.float32))
    return Image.fromarray(np.rint(array * 255).astype(np.uint8))


def as_input(array: NDArray[Any]) -> NDArray[np.float32] | None:
    """Return an array as the model's input, float32 `[1, 1, 28, 28]`, bit for bit, where it already is as MNIST's are.

    None where its shape or dtype is another, or it has to be prepared as a picture is.
    """
    if array.shape != (FIELD, FIELD):
        return None
    kind = array.dtype.kind
    if kind == "f":
        field = np.ascontiguousarray(array, dtype=np.float32)
        bits = field.view(np.uint32)
        if bits.item(bits.argmax()) > _ONE:
            return None
    elif kind == "u" and array.itemsize == 1:
        field = array.astype(np.float32, order="C")
        field /= _WHITE
    else:
        return None
    return field[np.newaxis, np.newaxis] if is_placed(field) else None


def is_placed(field: NDArray[np.float32]) -> bool:
    """Say whether 28×28 pixels are as MNIST's: light ink in a 20×20 box, its centre of mass in the middle, on black.

    This is most of what an array costs beside the model itself, so it makes few calls of numpy.

    Args:
        field: C-contiguous float32 `[28, 28]` in [0, 1].
    """
    mass, row, column = _MOMENTS.dot(field.ravel()).tolist()
    middle = CENTRE * mass
    if not (abs(row - middle) <= mass and abs(column - middle) <= mass and field.item(field.argmax()) >= STRONG):
        return False
    inked = field.astype(np.bool_)
    by_row, by_column = inked.tobytes(), inked.tobytes("F")
    top = by_row.find(1) // FIELD
    height = by_row.rfind(1) // FIELD - top + 1
    width = by_column.rfind(1) // FIELD - by_column.find(1) // FIELD + 1
    return top > 0 and fills_box(height, width, top + height)
