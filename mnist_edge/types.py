"""The types of arrays that pass between the rooms of the package, and the description of a tensor."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32]
"""Model inputs, float32 `[N, channels, height, width]`, in the range of their `TensorSpec`."""

Logits = NDArray[np.float32]
"""Model outputs, float32 `[N, classes]`."""

Labels = NDArray[np.int64]
"""Class indices, int64 `[N]`."""

Predict = Callable[[Images], Logits]
"""Runs a model: images → logits."""

PredictInBatches = Callable[[Images, int], Logits]
"""Images and a batch size → their logits."""

GrayImage = NDArray[np.float32]
"""Brightness or ink, float32 `[height, width]` in [0, 1]."""

Pixels = NDArray[np.float32]
"""A gray picture `[height, width]`, or one in color `[height, width, 3]`, float32 in [0, 1]."""

BoolMask = NDArray[np.bool_]
"""Chosen pixels `[height, width]`, or chosen elements `[N]`."""

AnyArray = NDArray[Any]

Box = tuple[int, int, int, int]
"""Left, upper, right and lower edge in pixels, right and lower not included."""


@dataclass(frozen=True)
class TensorSpec:
    """What a model's input is.

    Attributes:
        name: of the tensor in the exported graph.
        shape: of one image, without the batch: (channels, height, width).
        layout: what the dimensions of a batch are: N batch, C channel, H row, W column.
        dtype: element type.
        range: least and greatest value.
        polarity: which is bright, the ink or the background.
    """

    name: str
    shape: tuple[int, ...]
    layout: str = "NCHW"
    dtype: str = "float32"
    range: tuple[float, float] = (0.0, 1.0)
    polarity: str = "white-on-black"
