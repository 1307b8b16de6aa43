"""Operators that ncnn computes badly, as others that it computes well, for what traces a network."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode


@contextmanager
def log_softmax_from_differences(model: nn.Module) -> Iterator[nn.Module]:
    """Give a copy of a network, for the time in which it is traced with logarithms of a softmax written out.

    ncnn has no layer for them, and pnnx takes the logarithm of a softmax, which is 0 for the lesser of two logits 104
    apart. Written out are the differences to the largest logit, less the logarithm of the sum of their exponentials.
    """
    copied = copy.deepcopy(model)
    for module in list(copied.modules()):
        for name, child in module.named_children():
            if type(child) is nn.LogSoftmax:  # which pnnx knows by its type
                setattr(module, name, _LogSoftmax(child.dim))
    with _WrittenOut():
        yield copied


class _LogSoftmax(nn.Module):
    def __init__(self, dim: int | None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, values: Tensor) -> Tensor:
        return functional.log_softmax(values, self.dim)


class _WrittenOut(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - as torch has it
        given = kwargs or {}
        return _log_softmax(*args, **given) if func in _LOG_SOFTMAX else func(*args, **given)


_LOG_SOFTMAX = (functional.log_softmax, torch.log_softmax, Tensor.log_softmax, torch.special.log_softmax)


def _log_softmax(
    input: Tensor,
    dim: int | None = None,
    _stacklevel: int = 3,
    dtype: torch.dtype | None = None,
) -> Tensor:
    if dim is None:  # torch chooses one, and warns
        dim = 0 if input.ndim in (0, 1, 3) else 1
    values = input if dtype is None else input.to(dtype)
    below = values - values.amax(dim, keepdim=True)
    return below - below.exp().sum(dim, keepdim=True).log()
