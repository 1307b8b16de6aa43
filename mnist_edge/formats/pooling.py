"""Averages over windows that a converter would take, without a word, for averages over other numbers."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mnist_edge.errors import UserError
from mnist_edge.text import printable


def refuse_divisors(model: nn.Module, format_name: str) -> None:
    """Raise `UserError` where an `AvgPool2d` divides by a number of its own, which a format has no room for."""
    for name, module in model.named_modules():
        if isinstance(module, nn.AvgPool2d) and module.divisor_override:
            raise _refused(format_name, name, "divisor_override: leave it out, and multiply what the layer gives")


def refuse_cut_windows(model: nn.Module, shape: Sequence[int], format_name: str, *, unpadded: bool) -> None:
    """Raise `UserError` where `AvgPool2d` has windows that end outside its padded input, and counts the padding.

    Torch divides their sums by the number of values inside, of which converters know nothing.

    Args:
        model: in `eval()`.
        shape: of an image: channels, height, width.
        format_name: what the command line calls the format.
        unpadded: whether the format divides by another number where there is no padding, too.
    """
    counting = {
        module: name
        for name, module in model.named_modules()
        if isinstance(module, nn.AvgPool2d) and module.ceil_mode and module.count_include_pad
    }
    cut: list[str] = []

    def look(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        assert isinstance(module, nn.AvgPool2d)
        kernel, stride, padding = map(_pair, (module.kernel_size, module.stride, module.padding))
        ends = [(n - 1) * step + side for n, step, side in zip(output.shape[-2:], stride, kernel, strict=True)]
        room = [size + 2 * added for size, added in zip(inputs[0].shape[-2:], padding, strict=True)]
        if (any(padding) or unpadded) and any(end > most for end, most in zip(ends, room, strict=True)):
            cut.append(counting[module])

    hooks = [module.register_forward_hook(look) for module in counting]
    try:
        if hooks:
            with torch.inference_mode():
                model(torch.zeros(1, *shape))
    finally:
        for hook in hooks:
            hook.remove()
    if cut:
        raise _refused(format_name, cut[0], "ceil_mode and count_include_pad together: set the latter to False")


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _refused(format_name: str, name: str, option: str) -> UserError:
    where = printable(name.removeprefix("network."))  # what it is in a checkpoint of one's own
    return UserError(
        f"{format_name} can't hold the layer {where} (AvgPool2d): it would divide by another number, because of its "
        f"{option}, or export to another format"
    )
