"""Attention as the layers that it is made of, for what traces a network."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_FASTPATH = threading.Lock()


@contextmanager
def layers_of_attention() -> Iterator[None]:
    """Let attention be traced as the layers that it is made of: torch may take one operator for all of it."""
    with _FASTPATH:  # which the process has once
        before = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(value=False)
        try:
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(value=before)
