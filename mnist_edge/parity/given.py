"""Images and labels as a caller gives them."""

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from mnist_edge.artifact.fields import one_line
from mnist_edge.errors import UserError
from mnist_edge.types import AnyArray

Array = ArrayLike | Tensor


def as_array(given: Array, name: str) -> AnyArray:
    """Return what a caller gave as an array.

    Args:
        given: an array, a tensor on any device, or lists of numbers.
        name: what it is, in the plural.

    Raises:
        UserError: it is not one array, or of numbers that numpy does not have.
    """
    try:
        return given.detach().cpu().numpy() if isinstance(given, Tensor) else np.asarray(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(
            f"the {name} can't be read as one array of numbers ({one_line(error)}): give a numpy array or a tensor, "
            "all rows as long as each other; of bfloat16, call float() first"
        ) from error
