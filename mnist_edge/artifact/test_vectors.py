"""Golden vectors: a few images with the logits they must give, carried inside the file that must give them."""

import base64
import json
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

VERSION = 1
"""Version of the layout of golden vectors."""

GOLDEN_KEY = "mnist_edge.golden"
"""Under this name a file carries its golden vectors (ONNX `metadata_props`, TorchScript extra files)."""

_MOST_BYTES = 1_000_000
"""Golden vectors that unpack to more are refused."""


class GoldenError(ValueError):
    """Golden vectors are missing, damaged, or of a version that is not known here."""


@dataclass(frozen=True, eq=False)
class Golden:
    """Images and the logits they must give.

    Attributes:
        indices: of the images in MNIST's training set.
        labels: what they show, 0..9.
        images: uint8 `[N, 1, 28, 28]`, white ink on black; the input is `images / 255`.
        logits: float32 `[N, 10]`, by the trained model in double precision, rounded to 1e-6.
        expected: float32 `[N, 10]`, what this file gives by the definition of its operators; for a file that computes
            in float it is `logits`.
        bound: the largest |Δlogit| from `expected` that another processor may show.
    """

    indices: tuple[int, ...]
    labels: tuple[int, ...]
    images: NDArray[np.uint8]
    logits: NDArray[np.float32]
    expected: NDArray[np.float32]
    bound: float

    @property
    def inputs(self) -> NDArray[np.float32]:
        """The images as the model's input, float32 `[N, 1, 28, 28]` in [0, 1]."""
        return self.images.astype(np.float32) / np.float32(255)

    def to_json(self) -> str:
        """Return the golden vectors as one line of JSON; arrays are little-endian, deflated, in base64."""
        return json.dumps(
            {
                "version": VERSION,
                "indices": self.indices,
                "labels": self.labels,
                "images": _pack(self.images),
                "logits": _pack(self.logits),
                "expected": None if np.array_equal(self.expected, self.logits) else _pack(self.expected),
                "bound": self.bound,
            },
            sort_keys=True,
        )

    @classmethod
    def from_json(cls, text: str | None) -> "Golden":
        """Read what `to_json` wrote.

        Raises:
            GoldenError: there are none (`text` is None), or they are not understood here.
        """
        if text is None:
            raise GoldenError("it carries no golden vectors")
        try:
            fields: dict[str, Any] = json.loads(text)
            if fields["version"] != VERSION:
                raise GoldenError(f"its golden vectors are of version {fields['version']}, expected {VERSION}")
            count = len(fields["labels"])
            logits = _unpack(fields["logits"], "<f4", (count, 10))
            expected = logits if fields["expected"] is None else _unpack(fields["expected"], "<f4", (count, 10))
            golden = cls(
                indices=tuple(int(index) for index in fields["indices"]),
                labels=tuple(int(label) for label in fields["labels"]),
                images=_unpack(fields["images"], "|u1", (count, 1, 28, 28)),
                logits=logits.astype(np.float32),
                expected=expected.astype(np.float32),
                bound=float(fields["bound"]),
            )
        except (ValueError, KeyError, TypeError, RecursionError, zlib.error) as error:
            raise error if isinstance(error, GoldenError) else GoldenError("its golden vectors are damaged") from error
        if not golden.labels or len(golden.indices) != count or not 0 < golden.bound < np.inf:
            raise GoldenError("its golden vectors are damaged")
        return golden


def _pack(array: NDArray[Any]) -> str:
    little = array.astype(array.dtype.newbyteorder("<"))
    return base64.b64encode(zlib.compress(little.tobytes(), 9)).decode()


def _unpack(text: str, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    data = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), _MOST_BYTES)
    return np.frombuffer(data, dtype).reshape(shape)
