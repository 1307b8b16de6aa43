"""Test vectors: a few images with the logits they must give, carried by the artifact that must give them."""

import base64
import dataclasses
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_edge.artifact.contract import Task
from mnist_edge.artifact.fields import (
    check_integer,
    expect_version,
    one_line,
    parse_object,
    take,
    take_list,
    take_number,
    take_text,
)
from mnist_edge.errors import TestVectorsError
from mnist_edge.types import Images, Logits

VERSION = 2
"""Version of the layout of test vectors."""

TEST_VECTORS_KEY = "mnist_edge.test_vectors"
"""Under this name an artifact carries its test vectors (ONNX `metadata_props`, TorchScript extra files, a sidecar)."""

MAX_BYTES = 4_000_000
"""An array of test vectors that unpacks to more is refused."""

MAX_BOUND = 1_000.0
"""A greater bound than this would allow any logit."""


@dataclass(frozen=True, eq=False)
class TestVectors:
    """Images and the logits they must give.

    Attributes:
        indices: of the images in the data set's training images.
        labels: class indices of what they show.
        images: uint8 `[N, channels, height, width]`; the input is `images / 255`.
        trained_logits: float32 `[N, classes]`, by the trained model in double precision, rounded to 1e-6.
        expected_logits: float32 `[N, classes]`, what this artifact gives by the definition of its operators; for one
            that computes in float with the trained weights, in an order that is left to its runtime, `trained_logits`.
        bound: the largest |Δlogit| from `expected_logits` that another processor may show; 0 for the same bits.
    """

    __test__ = False  # pytest takes a class of this name for tests

    indices: tuple[int, ...]
    labels: tuple[int, ...]
    images: NDArray[np.uint8] = field(repr=False)
    trained_logits: Logits = field(repr=False)
    expected_logits: Logits = field(repr=False)
    bound: float

    @property
    def inputs(self) -> Images:
        """The images as the model's input, float32 in [0, 1]."""
        return self.images.astype(np.float32) / np.float32(255)

    def with_expected(self, logits: Logits) -> "TestVectors":
        """Return the test vectors of an artifact that gives `logits`, float32 `[N, classes]`, by definition."""
        return dataclasses.replace(self, expected_logits=logits)

    def to_json(self) -> str:
        """Return the test vectors as one line of JSON; arrays are little-endian, deflated, in base64."""
        same = np.array_equal(self.expected_logits, self.trained_logits)
        return json.dumps(
            {
                "version": VERSION,
                "indices": self.indices,
                "labels": self.labels,
                "images": _pack(self.images),
                "trained_logits": _pack(self.trained_logits),
                "expected_logits": None if same else _pack(self.expected_logits),
                "bound": self.bound,
            },
            sort_keys=True,
        )

    @classmethod
    def from_json(cls, text: str | None, task: Task) -> "TestVectors":
        """Read what `to_json` wrote, of an artifact for `task`.

        Raises:
            TestVectorsError: there are none (`text` is None), or they are not understood here.
        """
        if text is None:
            raise TestVectorsError("it carries no test vectors")
        try:
            fields = parse_object(text)
            expect_version(fields, VERSION)
            return cls._from_fields(fields, task)
        except (ValueError, zlib.error) as error:
            raise TestVectorsError(f"its test vectors are not understood here ({one_line(error)})") from error

    @classmethod
    def _from_fields(cls, fields: Mapping[str, Any], task: Task) -> "TestVectors":
        classes = len(task.labels)
        labels = tuple(check_integer(label, "labels", 0, classes - 1) for label in take_list(fields, "labels"))
        indices = tuple(check_integer(index, "indices", 0, 2**53) for index in take_list(fields, "indices"))
        if not labels or len(indices) != len(labels):
            raise ValueError("there are none, or they are not numbered one by one")
        bound = take_number(fields, "bound", 0, MAX_BOUND)
        trained = _unpack_logits(take_text(fields, "trained_logits", MAX_BYTES), (len(labels), classes))
        own = take(fields, "expected_logits")
        return cls(
            indices=indices,
            labels=labels,
            images=_unpack(take_text(fields, "images", MAX_BYTES), "|u1", (len(labels), *task.input.shape)),
            trained_logits=trained,
            expected_logits=trained
            if own is None
            else _unpack_logits(take_text(fields, "expected_logits", MAX_BYTES), (len(labels), classes)),
            bound=bound,
        )


def _pack(array: NDArray[Any]) -> str:
    little = array.astype(array.dtype.newbyteorder("<"))
    return base64.b64encode(zlib.compress(little.tobytes(), 9)).decode()


def _unpack(text: str, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    data = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), MAX_BYTES)
    return np.frombuffer(data, dtype).reshape(shape)


def _unpack_logits(text: str, shape: tuple[int, ...]) -> Logits:
    logits: Logits = _unpack(text, "<f4", shape).astype(np.float32)
    if not np.isfinite(logits).all():
        raise ValueError("logits are not finite")
    return logits
