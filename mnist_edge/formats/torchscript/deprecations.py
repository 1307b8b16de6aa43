"""The warnings of deprecation that using TorchScript brings, silenced where it is used on purpose."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_DEPRECATIONS = (
    r"`torch\.jit\.\w+` is (deprecated|not supported in Python 3\.14\+)",
    r"torch\.ao\.quantization is deprecated",
    r"torch\.quantize_per_tensor, torch\.quantize_per_channel and other quantized tensor creation functions",
)


@contextmanager
def without_deprecations() -> Iterator[None]:
    """Silence these warnings and no others."""
    with warnings.catch_warnings():
        for message in _DEPRECATIONS:
            warnings.filterwarnings("ignore", message=message)
        yield
