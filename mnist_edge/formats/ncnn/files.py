"""The two files of an ncnn model, and the text of the first checked before ncnn is given it."""

import re
import struct

from mnist_edge.errors import ArtifactError

PARAM, WEIGHTS = "model.ncnn.param", "model.ncnn.bin"
"""The files of the folder, by the names that pnnx gives."""

INPUT, OUTPUT = "in0", "out0"
"""What pnnx calls the blobs at the two ends."""

MAX_BYTES = 64 << 20
"""Most bytes of the two files."""

MAX_LAYERS = 1_000
"""Most layers."""

MAX_NUMBER = 1 << 24
"""Largest number of a layer: a size, a count of weights."""

LAYERS = frozenset(
    (
        *("Input", "Split", "Reshape", "Flatten", "Permute", "Padding", "Concat", "Squeeze", "ExpandDims", "Crop"),
        *("InnerProduct", "Gemm", "Convolution", "ConvolutionDepthWise", "Pooling", "Reduction", "BatchNorm"),
        *("Convolution1D", "ConvolutionDepthWise1D", "Pooling1D", "MultiHeadAttention"),
        *("LayerNorm", "GroupNorm", "InstanceNorm", "BinaryOp", "UnaryOp", "MemoryData", "Dropout", "Scale"),
        *("ReLU", "PReLU", "Clip", "Sigmoid", "TanH", "ELU", "SELU", "CELU", "GELU", "Swish", "HardSwish"),
        *("HardSigmoid", "Mish", "Softplus", "Softmax", "Slice", "ShuffleChannel", "Eltwise", "GLU", "RMSNorm"),
    )
)
"""What a model may hold: the layers of small classifiers."""

_MAGIC = "7767517"
_NAME = re.compile(r"[\w.]{1,200}")
_FLOAT = r"-?\d+(\.\d+)?(e[+-]?\d{1,3})?"
_FIELD = re.compile(rf"-?\d{{1,6}}=({_FLOAT}|\d{{1,9}}(,{_FLOAT}){{0,20}})")
"""An identifier and a number, or how many numbers an array has and these."""
_COMPUTED = re.compile(r'6="\S*"')
_SIZES = re.compile(r'6="(\d[whdc]|-1)(,(\d[whdc]|-1)){0,3}"')
"""What a Reshape may hold in place of numbers: sides of the blobs that it is given, and -1 for what remains.

ncnn also computes expressions, of which any number can come; `MAX_NUMBER` would not limit those.
"""

_ACTIVATION, _BOUNDS = "-23310", ("0", "1")
_WITH_ACTIVATION = (
    *("Convolution", "ConvolutionDepthWise", "Convolution1D", "ConvolutionDepthWise1D", "InnerProduct"),
)
"""What limits the values that a layer makes, and sizes nothing, so that it may be as large as a float is."""

_LARGEST = 3.403e38
"""A little above the largest float of 32 bits, which stands with 9 digits for no limit."""
_LENGTH = struct.Struct("<I")


def check_param(text: str) -> None:
    """Return if a .param file lists layers as an export does; raises `ArtifactError` where it does not."""
    lines = text.splitlines()
    if len(lines) < 3 or lines[0] != _MAGIC or not 0 < len(lines) - 2 <= MAX_LAYERS:
        raise ArtifactError(f"its {PARAM} is damaged, or has more than {MAX_LAYERS:,} layers")
    blobs = 0
    for line in lines[2:]:
        blobs += _check_layer(line.split())
    if lines[1].split() != [str(len(lines) - 2), str(blobs)]:
        raise ArtifactError(f"its {PARAM} counts other layers than it lists")


def _check_layer(words: list[str]) -> int:
    """Return how many blobs a layer makes."""
    kind = words[0] if words else ""
    if kind not in LAYERS:
        raise ArtifactError(f"its {PARAM} holds a layer {kind[:80]!r}, which is not on the list")
    if len(words) < 4 or not all(word.isdecimal() and len(word) < 4 for word in words[2:4]):
        raise ArtifactError(f"a layer {kind} of its {PARAM} is damaged")
    given, made = int(words[2]), int(words[3])
    names, fields = [words[1], *words[4 : 4 + given + made]], words[4 + given + made :]
    if kind == "Reshape":
        fields = _without_sizes(fields)
    if len(names) != 1 + given + made or not all(map(_NAME.fullmatch, names)) or not all(map(_FIELD.fullmatch, fields)):
        raise ArtifactError(f"a layer {kind} of its {PARAM} is damaged")
    if not all(_fits(kind, field) for field in fields):
        raise ArtifactError(f"a layer {kind} of its {PARAM} has sizes that no small classifier needs")
    return made


def _without_sizes(fields: list[str]) -> list[str]:
    """Return the fields of a Reshape without those that say which sides it takes."""
    computed = [field for field in fields if _COMPUTED.fullmatch(field)]
    if not all(map(_SIZES.fullmatch, computed)):
        raise ArtifactError(f"a layer Reshape of its {PARAM} has sizes that are computed")
    return [field for field in fields if field not in computed]


def _fits(kind: str, field: str) -> bool:
    """Say whether the numbers of a field are small enough for a layer of a kind."""
    identifier, _, text = field.partition("=")
    sizes, limits = [float(number) for number in text.split(",")], []
    if kind in _WITH_ACTIVATION and identifier == _ACTIVATION:
        sizes, limits = sizes[:1], sizes[1:]
    elif kind == "Clip" and identifier in _BOUNDS:
        sizes, limits = [], sizes
    return all(abs(number) <= MAX_NUMBER for number in sizes) and all(abs(number) <= _LARGEST for number in limits)


def pack(param: str, weights: bytes) -> bytes:
    """Return both files as one message to the process that runs them."""
    text = param.encode()
    return _LENGTH.pack(len(text)) + text + weights


def unpack(data: bytes) -> tuple[str, bytes]:
    """Return what `pack` put together."""
    (length,) = _LENGTH.unpack_from(data)
    end = _LENGTH.size + length
    return data[_LENGTH.size : end].decode(), data[end:]
