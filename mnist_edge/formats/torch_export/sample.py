"""The sample inputs of a `torch.export` archive, which is where it would hold a pickle of somebody else's."""

import io

import torch


def sample_inputs(shape: tuple[int, ...]) -> bytes:
    """Return the member for a batch of two black images of a shape (channels, height, width), as torch writes it."""
    buffer = io.BytesIO()
    torch.save(((torch.zeros(2, *shape),), {}), buffer)
    return buffer.getvalue()
