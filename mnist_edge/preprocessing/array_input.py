"""Arrays as pictures.

An array is `[height, width]` (gray), `[height, width, 3]` (RGB) or `[height, width, 4]` (RGBA), of dtype uint8 (0 to
255), bool, a float (in [0, 1], rounded to 8 bits) or uint16 (gray only), which is prepared as a file of 16 bits is:
mnist/3 stretches it to its own range, since cameras give 10, 12 or 14 bits; resize/1 takes it for 16 bits as it is.
"""

import numpy as np
from PIL import Image

from mnist_edge.types import AnyArray


def plain_array(array: AnyArray) -> AnyArray:
    """Return an array of any subclass as one of numpy's own, whose operations do what they are known for.

    Raises:
        ValueError: it is masked, and hides elements.
    """
    if type(array) is np.ndarray:
        return array
    if np.any(getattr(array, "mask", False)):
        raise ValueError("a masked array hides pixels: fill them first, with filled()")
    return np.asarray(array)


def from_array(array: AnyArray) -> Image.Image:
    """Return an array as a picture.

    Raises:
        ValueError: its shape or dtype is not one of those above, it is empty, a float is outside [0, 1], or it is
            masked and hides elements.
    """
    array = plain_array(array)
    shape, kind = array.shape, array.dtype
    if not (len(shape) == 2 or (len(shape) == 3 and shape[2] in {3, 4})) or 0 in shape:
        raise ValueError(f"an array of shape {list(shape)} is not a picture: expected [H, W], [H, W, 3] or [H, W, 4]")
    if not kind.isnative:
        array = array.astype(kind.newbyteorder("="))
    if kind == np.uint8:
        return Image.fromarray(array)
    if kind == np.bool_:
        return Image.fromarray(array.astype(np.uint8) * 255)
    if array.dtype == np.uint16 and len(shape) == 2:
        return Image.fromarray(array)
    if not np.issubdtype(kind, np.floating):
        raise ValueError(
            f"an array of {kind} is not a picture: expected uint8, bool, uint16 (gray) or a float in [0, 1]"
        )
    with np.errstate(over="ignore"):
        values = array.astype(np.float32)  # in which what is off by rounding is not beyond the range
    if not (values.min() >= 0 and values.max() <= 1):  # also where there is a NaN
        raise ValueError(f"an array of {kind} must be in [0, 1]: divide by the value of white")
    return Image.fromarray(np.rint(values * 255).astype(np.uint8))
