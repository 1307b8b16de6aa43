"""A network as a header holds it: a chain of layers, each a window that moves over its input.

Values of an image are stored row by row, the channels of a pixel beside each other (height, width, channels). A linear
layer is a window that covers its whole input, which then is one pixel with as many channels as there are values.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import prod
from typing import Any

from mnist_edge.artifact.fields import check_integer, check_text, expect_fields, take, take_number
from mnist_edge.types import AnyArray

MAX_SIDE = 1 << 20
"""Greatest side, number of channels, stride or dilation."""

MAX_VALUES = 1 << 24
"""Most values between two layers, or of an input with its padding."""

MAX_INPUTS = 1 << 20
"""Most values of an image, which the C keeps on the stack where it takes floats."""

MAX_WINDOW = 1 << 20
"""Most places of a window: an average of bytes adds no more in 32 bits."""

MAX_PRODUCTS = 1_000_000_000
"""Most products of weights and values, or values that are compared or averaged, for one image."""

MAX_LAYERS = 1_000
"""Most layers."""

PRODUCTS = ("Linear", "Conv2d", "BatchNorm")
"""Layers with weights. A normalization that stands by itself has one weight for each channel."""

POOLS = ("MaxPool2d", "AvgPool2d")
"""Layers without."""


@dataclass(frozen=True)
class Window:
    """Where a layer looks, in values (height before width).

    Attributes:
        size: of the input: height, width, channels.
        kernel: of the window.
        stride: between two windows.
        dilation: between two values of a window.
        padding: rows above and columns left of the input that the first window covers.
        outputs: height, width, channels.
    """

    size: tuple[int, int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int]
    outputs: tuple[int, int, int]

    @property
    def values_in(self) -> int:
        """Values of the input."""
        return self.size[0] * self.size[1] * self.size[2]

    @property
    def values_out(self) -> int:
        """Values of the output."""
        return self.outputs[0] * self.outputs[1] * self.outputs[2]

    @cached_property
    def around(self) -> tuple[tuple[int, int], ...] | None:
        """Padding before and after each dimension of `[N, height, width, channels]`, or None for none at all."""
        sides = []
        for side in range(2):
            reach = self.dilation[side] * (self.kernel[side] - 1)
            needed = (self.outputs[side] - 1) * self.stride[side] + reach + 1
            sides.append((self.padding[side], max(0, needed - self.padding[side] - self.size[side])))
        return ((0, 0), *sides, (0, 0)) if any(map(any, sides)) else None

    def places(self) -> Iterator[tuple[int, int, tuple[slice, ...]]]:
        """Yield row and column of each place of the kernel, with where all windows have it in the padded input."""
        (height, width, _), (down, right) = self.outputs, self.stride
        for row in range(self.kernel[0]):
            top = row * self.dilation[0]
            rows = slice(top, top + (height - 1) * down + 1, down)
            for column in range(self.kernel[1]):
                left = column * self.dilation[1]
                yield row, column, (slice(None), rows, slice(left, left + (width - 1) * right + 1, right))

    def check(self, kind: str) -> None:
        """Raise `ValueError` where a number is out of range, or a window lies outside its input.

        Args:
            kind: of the layer. Windows of a convolution may lie in the padding alone, of which there is as much after
                the input as before it: a sum of nothing is its bias. A maximum or an average of nothing is no number.
        """
        for name, low in (("size", 1), ("kernel", 1), ("stride", 1), ("dilation", 1), ("padding", 0), ("outputs", 1)):
            for number in getattr(self, name):
                check_integer(number, name, low, MAX_SIDE)
        if max(self.values_in, self.values_out) > MAX_VALUES or self.kernel[0] * self.kernel[1] > MAX_WINDOW:
            raise ValueError(f"a layer has more than {MAX_VALUES:,} values, or a window more than {MAX_WINDOW:,}")
        for side in range(2):
            reach = self.dilation[side] * (self.kernel[side] - 1)
            last = (self.outputs[side] - 1) * self.stride[side] - self.padding[side]
            beyond = self.padding[side] if kind == "Conv2d" else 0
            outside = self.padding[side] > reach + beyond or last >= self.size[side] + beyond
            if outside or reach >= MAX_SIDE or last >= MAX_SIDE:
                raise ValueError("a window lies outside its input")
        sides = [size + sum(around) for size, around in zip(self.size, (self.around or [(0, 0)] * 4)[1:], strict=True)]
        if prod(sides) > MAX_VALUES:
            raise ValueError(f"the input of a layer has more than {MAX_VALUES:,} values with its padding")


def pixel(channels: int, outputs: int) -> Window:
    """Return the window of a linear layer."""
    return Window((1, 1, channels), (1, 1), (1, 1), (1, 1), (0, 0), (1, 1, outputs))


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer, with the ReLU that follows it.

    Attributes:
        name: of the module in the trained model.
        kind: one of `PRODUCTS` or `POOLS`.
        window: where it looks.
        groups: parts into which channels are divided, each for itself.
        relu: whether values below 0 become 0.
        counts_padding: whether an average divides by what lies outside the input too.
        weights: float32 or int8 `[groups, kernel height, kernel width, inputs, outputs]`, both of a group.
        bias: float32 or int32 `[outputs]`; int32 in steps of the sums.
        step: what one step of its output stands for; 0 where outputs are floats.
        shift: bits by which a quantized output is shifted to the right after its multiplication; 0 where there is none.
        multipliers: uint32 `[outputs]`: a quantized output is `sum · multiplier / 2^(32 + shift)`.
        scales: float32 `[outputs]`: what one step of a sum of the last layer stands for, where weights are int8.
    """

    name: str
    kind: str
    window: Window
    groups: int = 1
    relu: bool = False
    counts_padding: bool = False
    weights: AnyArray | None = None
    bias: AnyArray | None = None
    step: float = 0.0
    shift: int = 0
    multipliers: AnyArray | None = None
    scales: AnyArray | None = None

    @property
    def has_weights(self) -> bool:
        """Whether it multiplies by weights."""
        return self.kind in PRODUCTS

    @property
    def weights_shape(self) -> tuple[int, int, int, int, int]:
        """Shape of `weights`."""
        window, groups = self.window, self.groups
        return (groups, *window.kernel, window.size[2] // groups, window.outputs[2] // groups)

    @property
    def products(self) -> int:
        """Products for one image, or values that are compared or averaged, in whole windows."""
        inputs = self.weights_shape[3] if self.has_weights else 1
        return self.window.kernel[0] * self.window.kernel[1] * inputs * self.window.values_out

    def to_fields(self) -> dict[str, Any]:
        """Return all but the numbers as JSON types."""
        fields = {"name": self.name, "kind": self.kind, **dataclasses.asdict(self.window)}
        fields |= {"groups": self.groups, "relu": self.relu, "counts_padding": self.counts_padding}
        return fields | {"step": self.step, "shift": self.shift}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "Layer":
        """Read what `to_fields` wrote; raises `ValueError` where something is missing or out of range."""
        sides = [field.name for field in dataclasses.fields(Window)]
        expect_fields(["name", "kind", *sides, "groups", "relu", "counts_padding", "step", "shift"], fields)
        window = Window(*(_integers(fields, name, 3 if name in ("size", "outputs") else 2) for name in sides))
        kind = take(fields, "kind")
        window.check(kind)
        flags = take(fields, "relu"), take(fields, "counts_padding")
        if kind not in (*PRODUCTS, *POOLS) or not all(isinstance(flag, bool) for flag in flags):
            raise ValueError("a layer is of no kind that is known")
        groups = check_integer(fields["groups"], "groups", 1, MAX_SIDE)
        channels = (window.size[2], window.outputs[2])
        if any(number % groups for number in channels) or (kind in POOLS and (groups != 1 or len(set(channels)) > 1)):
            raise ValueError("groups do not divide the channels")
        return cls(
            name=check_text(fields["name"], "name"),
            kind=kind,
            window=window,
            groups=groups,
            relu=flags[0],
            counts_padding=flags[1],
            step=take_number(fields, "step", 0, 1e30),
            shift=check_integer(fields["shift"], "shift", 0, 30),
        )


def _integers(fields: Mapping[str, Any], name: str, count: int) -> tuple[Any, ...]:
    numbers = take(fields, name)
    if not isinstance(numbers, list) or len(numbers) != count:
        raise ValueError(f"{name} is not {count} numbers")
    return tuple(numbers)


@dataclass(frozen=True, eq=False)
class Network:
    """A chain of layers, the last of which gives the logits.

    Attributes:
        layers: in order.
        input_step: what one step of the input's bytes stands for.
    """

    layers: tuple[Layer, ...]
    input_step: float

    @property
    def quantized(self) -> bool:
        """Whether weights are stored in 8 bits."""
        return self.layers[-1].scales is not None

    @property
    def signed_inputs(self) -> list[bool]:
        """Whether the input of each layer may be below 0."""
        signed = [False]
        for layer in self.layers[:-1]:
            signed.append(not layer.relu and (layer.has_weights or signed[-1]))
        return signed

    @property
    def input_steps(self) -> list[float]:
        """What one step of the input of each layer stands for."""
        return [self.input_step, *(layer.step for layer in self.layers[:-1])]


def check_chain(layers: Sequence[Layer]) -> None:
    """Raise `ValueError` where layers do not fit together, or are more than is run here."""
    if not 1 <= len(layers) <= MAX_LAYERS:
        raise ValueError(f"there are not 1 to {MAX_LAYERS:,} layers")
    for before, after in pairwise(layers):
        if before.window.values_out != after.window.values_in:
            raise ValueError(f"{after.name} does not take what {before.name} gives")
    if layers[0].window.values_in > MAX_INPUTS:
        raise ValueError(f"an image has more than {MAX_INPUTS:,} values")
    last = layers[-1]
    if not last.has_weights or last.relu or last.window.outputs[:2] != (1, 1):
        raise ValueError(
            f"its last layer, {last.name} ({last.kind}), does not give logits: expected a Linear, or a convolution "
            "that gives one value for each label, and no ReLU after it"
        )
    if sum(layer.products for layer in layers) > MAX_PRODUCTS:
        raise ValueError(f"it needs more than {MAX_PRODUCTS:,} products for an image")
