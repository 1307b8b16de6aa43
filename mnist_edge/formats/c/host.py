"""A header on this machine: its C, compiled and called."""

import ctypes
from dataclasses import dataclass

import numpy as np

from mnist_edge.formats.c.compiler import host_library
from mnist_edge.formats.c.header import Header
from mnist_edge.formats.c.reference import ANSWER, Bytes
from mnist_edge.formats.c.writer import write
from mnist_edge.formats.runner import check_shape
from mnist_edge.types import AnyArray, Images, Logits


@dataclass(frozen=True, eq=False)
class HostProgram:
    """A header's functions; any number of threads may call them at once.

    Attributes:
        library: the header, compiled and loaded.
        shape: of an image: channels, height, width.
        labels: how many there are.
    """

    library: ctypes.CDLL
    shape: tuple[int, ...]
    labels: int

    def logits(self, pixels: Bytes) -> Logits:
        """Return the logits, float32 `[N, classes]`, of images, uint8 `[N, height, width, channels]`."""
        return self._call("host_logits", np.ascontiguousarray(pixels, np.uint8))

    def logits_of_floats(self, images: Images) -> Logits:
        """Return the logits, float32 `[N, classes]`, of images, float32 `[N, channels, height, width]`.

        Raises:
            ArtifactError: they are of another shape.
        """
        check_shape(images, self.shape)
        return self._call("host_logits_of_floats", np.ascontiguousarray(images.transpose(0, 2, 3, 1), np.float32))

    def judge(self, logits: Logits) -> AnyArray:
        """Return the answers, `ANSWER` `[N]`, to images with these logits, float32 `[N, classes]`."""
        plain, answers = np.ascontiguousarray(logits, np.float32), np.zeros(len(logits), ANSWER)
        self.library.host_judge(_pointer(plain), _pointer(answers), ctypes.c_size_t(len(plain)))
        return answers

    def self_test(self) -> int:
        """Return how many of the test vectors fail."""
        return int(self.library.host_self_test(self._workspace()))

    def _call(self, name: str, images: AnyArray) -> Logits:
        logits = np.zeros((len(images), self.labels), np.float32)
        count = ctypes.c_size_t(len(images))
        getattr(self.library, name)(self._workspace(), _pointer(images), _pointer(logits), count)
        return logits

    def _workspace(self) -> ctypes.Array[ctypes.c_uint64]:
        self.library.host_workspace.restype = ctypes.c_size_t
        words: ctypes.Array[ctypes.c_uint64] = (ctypes.c_uint64 * (self.library.host_workspace() // 8 + 1))()
        return words


def _pointer(array: AnyArray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def open_host(header: Header, flags: tuple[str, ...] = ("-O3",)) -> HostProgram:
    """Return a header, compiled with these flags; raises `ArtifactError` where that can't be done."""
    shape = header.contract.task.input.shape
    return HostProgram(host_library(write(header), header.prefix, flags), shape, header.labels)
