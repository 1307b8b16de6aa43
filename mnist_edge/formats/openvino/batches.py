"""How many numbers the operators of a model give, for any number of images. Needs OpenVINO and the standard library."""

import threading
from math import prod
from typing import Any

from mnist_edge.errors import ArtifactError
from mnist_edge.formats.openvino.library import load_openvino
from mnist_edge.formats.openvino.representation import MAX_ELEMENTS, MAX_TOTAL


class BatchLimit:
    """Refuses a number of images for which an operator would give more numbers than for so many single ones."""

    def __init__(self, model: Any) -> None:  # noqa: ANN401
        """Look at a model, which is not changed.

        Raises:
            ArtifactError: for one image it gives more numbers than a small classifier needs, or what it gives depends
                on what is seen in the images.
        """
        self._model, self._lock = model.clone(), threading.Lock()
        self._inputs = {port: list(port.partial_shape) for port in self._model.inputs}
        self._of_one = self._numbers(1)
        if max(self._of_one) > MAX_ELEMENTS or sum(self._of_one) > MAX_TOTAL:
            raise ArtifactError("an operator of it gives more numbers than a small classifier needs")
        self._known = {1}
        self.check(2)

    def check(self, images: int) -> None:
        """Return if a batch of so many images may be run.

        Raises:
            ArtifactError: an operator would give more than so many times what it gives for one.
            RuntimeError: OpenVINO can't infer the sizes, as where the batch is fixed to another number.
        """
        with self._lock:
            if images in self._known:
                return
            for one, all_of_them in zip(self._of_one, self._numbers(images), strict=True):
                if all_of_them > images * one:
                    raise ArtifactError(
                        f"an operator of it gives {all_of_them:,} numbers for {images:,} images and {one:,} for one, "
                        f"expected at most {images:,} times as many"
                    )
            self._known.add(images)

    def _numbers(self, images: int) -> list[int]:
        """Return how many numbers each output of the operators has, as OpenVINO infers it; changes the clone."""
        partial = load_openvino().PartialShape
        self._model.reshape(
            {
                port: partial([images if side.is_dynamic else side for side in sides])
                for port, sides in self._inputs.items()
            }
        )
        numbers = []
        for operator in self._model.get_ops():
            for output in operator.outputs():
                if output.partial_shape.is_dynamic:
                    raise ArtifactError(f"a size of its operator {operator.get_type_name()} depends on the picture")
                numbers.append(prod(output.shape))
        return numbers
