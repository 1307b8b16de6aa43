"""The forms in which arrays are images of a model's size: one or several, with the channels first or none at all."""

from collections.abc import Callable

from mnist_edge.preprocessing.array_input import plain_array
from mnist_edge.preprocessing.result import Stage
from mnist_edge.types import AnyArray, Images


def as_batch(array: AnyArray, shape: tuple[int, ...]) -> AnyArray | None:
    """Return an array of images of the model's size, of gray ones as `[N, height, width]`; None for another.

    Args:
        array: of more than one dimension.
        shape: of the model's input, `[channels, height, width]`.

    Raises:
        ValueError: it is masked, and hides elements.
    """
    array = plain_array(array)
    channels, height, width = shape
    if array.shape[1:] == (1, height, width):
        return array[:, 0]
    if array.shape[1:] == (channels, height, width):
        return array
    one = channels > 1 or width in (3, 4)  # its channels, first or last
    return array if array.shape[1:] == (height, width) and not one else None


def prepared(
    array: AnyArray, shape: tuple[int, ...], as_model_input: Callable[[AnyArray], Images | None]
) -> tuple[AnyArray, Images | None]:
    """Return an array of one picture with its channels last, and as the model's input where it already is that.

    Args:
        array: the picture.
        shape: of the model's input, `[channels, height, width]`.
        as_model_input: of the model's preprocessing.

    Raises:
        ValueError: it is masked, and hides elements.
    """
    array = plain_array(array)
    if array.shape != shape:
        return array, as_model_input(array)
    if array.shape[0] == 1:
        return array[0], as_model_input(array[0])
    return array.transpose(1, 2, 0), as_model_input(array)


def as_stage(images: Images) -> Stage:
    """Return a model input, `[1, channels, height, width]`, as what a preprocessing would have given."""
    return Stage("model input", images[0, 0] if images.shape[1] == 1 else images[0].transpose(1, 2, 0))
